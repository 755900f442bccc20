/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Internal interface of gantry-info, which tells what this machine, a PCI device, an IOMMU group or
 * a running process has of VFIO, and why a device cannot be used.
 *
 * Invariants: nothing of the machine is changed. Facts are collected in one JSON object, which
 * text.c or jansson prints, so text and --json never differ. Single-threaded.
 */

#ifndef INFO_H
#define INFO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include <jansson.h>

#include <dmamap.h>
#include <dmamap_kernel.h>

/** Exit statuses. */
#define INFO_OK 0
#define INFO_FAILED 1 /**< no such object; `why`: not usable */
#define INFO_USAGE 2

#define INFO_NAME_MAX 256
#define INFO_TEXT_MAX 1024

/** Size of "0000:01:00.0" with its terminating zero; domains have up to eight digits. */
#define INFO_ADDRESS_MAX 20

/** What is looked at, and where output goes. */
struct info_host {
	const char *root; /**< prefix of /sys, /proc, /dev, /lib and /etc; "": this machine */
	const struct dmamap_kernel *kernel; /**< VFIO's system calls; NULL: Linux's */
	FILE *out, *err;
	const char *program; /**< name in front of errors; NULL: gantry-info */
};

/** Options of the user. All zeroes but length and maps: the defaults. */
struct info_options {
	bool json;
	enum dmamap_backend backend;
	bool has_iova;
	uint64_t iova; /**< where `why` has to map */
	uint64_t length; /**< bytes that `why` maps there */
	uint64_t maps; /**< map entries that the program needs */
	unsigned int dma_mask; /**< bits that the device reaches; 0: all */
	bool no_huge; /**< the program needs no hugepages */
	const char *html; /**< file for the page of `map`; NULL: none */
	unsigned int watch; /**< seconds between two pictures of `map`; 0: one picture */
	uint16_t port; /**< TCP port of `serve`; 0: any that is free */
};

/** @name host.c: files below the root */
/**@{*/
/** Print "gantry-info: ..." on the error stream. @return status */
int info_fail(const struct info_host *h, int status, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/** Read the first line of a file. "" and the errno if it cannot be read. @return 0; -errno */
int info_line(const struct info_host *h, char *line, size_t size, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/** Read a number: decimal, or hexadecimal after "0x". @return whether there is one */
bool info_number(const struct info_host *h, uint64_t *number, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/** Last part of the target of a link. "": no link. @return whether there is one */
bool info_link(const struct info_host *h, char *name, size_t size, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
bool info_exists(const struct info_host *h, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/** Names in a directory, sorted as version numbers. @return a JSON array, never NULL */
json_t *info_list(const struct info_host *h, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/** Call a function for each line of a file, until it returns true. @return whether one did */
bool info_each_line(const struct info_host *h, bool (*each)(void *arg, char *line), void *arg,
	const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/** Path below the root, in a buffer of PATH_MAX bytes. @return path */
const char *info_path(const struct info_host *h, char *path, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/** Open a file of VFIO or iommufd, whose path begins with /dev. @return a descriptor; -errno */
int info_open(const struct info_host *h, const char *path);
/**
 * The node of a file that the kernel names so, in a buffer of INFO_NAME_MAX bytes. In a pod it can
 * have another name. If it is not there: that name. @return node
 */
const char *info_node(const struct info_host *h, char *node, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
int info_ioctl(const struct info_host *h, int fd, unsigned long request, void *arg);
void info_close(const struct info_host *h, int fd);
/**@}*/

/** @name put.c: members of JSON objects */
/**@{*/
/** Add a text. Bytes that are not printable ASCII become '?'. */
void info_put(json_t *object, const char *key, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void info_put_int(json_t *object, const char *key, uint64_t number);
void info_put_bool(json_t *object, const char *key, bool value);
/** Add an answer, and take it over. NULL: add nothing. */
void info_put_answer(json_t *object, const char *key, json_t *answer);
/** Add an empty object or array. @return it, owned by the object */
json_t *info_put_object(json_t *object, const char *key);
json_t *info_put_array(json_t *object, const char *key);
/** Append an empty object to an array. @return it, owned by the array */
json_t *info_add_object(json_t *array);
/** Append a text to an array. */
void info_add(json_t *array, const char *text);
/** Add `start` and `last` of a range. */
void info_put_range(json_t *object, uint64_t start, uint64_t last);
/**@}*/

/**
 * A word of a shell's command line: names of interfaces and control groups may hold any character.
 * quote.c.
 * @return out, which has INFO_TEXT_MAX bytes
 */
const char *info_quote(char *out, const char *text);

/** @name text.c: facts as text */
/**@{*/
/** "4 KiB", "2 MiB", "12345 bytes", in a static buffer. */
const char *info_size(uint64_t bytes);
void info_print(FILE *out, const json_t *facts);
/**@}*/

/** @name iommu.c */
/**@{*/
/** IOMMUs of the machine: name, kind, and what their registers tell. */
void info_iommus(const struct info_host *h, json_t *facts);
/** Aperture, page sizes and coherency of the IOMMU of a device, as far as sysfs tells. */
void info_device_iommu(const struct info_host *h, const char *address, json_t *facts);
/** Words of the kernel's command line that concern IOMMUs, VFIO and hugepages. */
void info_kernel_options(const struct info_host *h, json_t *facts);
/** Whether the command line has a word. */
bool info_has_option(const struct info_host *h, const char *word);
/** Why there is no IOMMU, and the command that mends it. Sizes: INFO_TEXT_MAX. */
void info_iommu_off(const struct info_host *h, char *reason, char *command);
/**@}*/

/** @name modules.c */
/**@{*/
/** Where a kernel module is. */
enum info_module {
	INFO_MODULE_ABSENT,
	INFO_MODULE_NO_FOLDER, /**< there is no folder of modules of the running kernel */
	INFO_MODULE_ON_DISK,
	INFO_MODULE_LOADED, /**< or built in */
};
enum info_module info_module_find(const struct info_host *h, const char *name);
const char *info_module_text(enum info_module state);
/** Release of the running kernel. */
void info_release(const struct info_host *h, char *release, size_t size);
/**@}*/

/** @name device.c */
/**@{*/
struct info_device {
	char address[INFO_ADDRESS_MAX]; /**< complete */
	char driver[INFO_NAME_MAX]; /**< "": none */
	char netdev[INFO_NAME_MAX]; /**< a network interface that is up; "": none */
	char cdev[INFO_NAME_MAX]; /**< "vfio3"; "": none */
	int group; /**< -1: none */
	int node; /**< -1: unknown */
	bool noiommu; /**< VFIO holds it without an IOMMU */
	bool is_vfio; /**< bound to vfio-pci or a variant */
};
/** Complete a PCI address. @return 0; -EINVAL: it is none */
int info_address(const char *text, char address[INFO_ADDRESS_MAX]);
/** Look a device up. @return 0; -ENODEV */
int info_device_find(const struct info_host *h, const char *address, struct info_device *dev);
/** The command `device`. @return exit status */
int info_device(const struct info_host *h, const char *name, json_t *facts);
/**@}*/

/** @name group.c */
/**@{*/
/** Whether a driver on a member leaves its group viable, as far as its name tells. */
bool info_driver_is_harmless(const char *driver);
/**
 * Members whose drivers may make a group not viable.
 * @param text      out: "0000:01:00.1 (e1000e), ..."
 * @param addresses out: the same, without drivers, separated by blanks
 * @return their number
 */
unsigned int info_group_suspects(const struct info_host *h, int group, char *text, char *addresses);
/** Ask the kernel. @return 1: viable; 0: not; -errno: it cannot be asked */
int info_group_viable(const struct info_host *h, int group, bool noiommu);
void info_group_reserved(const struct info_host *h, int group, json_t *array);
/** Facts of a group, for `group` and `device`. */
void info_group_facts(const struct info_host *h, int group, json_t *facts);
/** The command `group`. @return exit status */
int info_group(const struct info_host *h, const char *number, json_t *facts);
/**@}*/

/** @name holders.c */
/**@{*/
/**
 * Processes that have a file open: "PID (name), ...".
 * @param pid  out: of the first, or 0
 * @return their number
 */
unsigned int info_holders(const struct info_host *h, const char *path, char *text, int *pid);
/**@}*/

/** @name memory.c */
/**@{*/
void info_hugepages(const struct info_host *h, json_t *array);
/** Sum of free hugepages of a size over all nodes, and of all. Size 0: of every size. */
uint64_t info_hugepages_free(const struct info_host *h, uint64_t size, uint64_t *total);
/** Limit on locked memory. @return whether it applies; without, CAP_IPC_LOCK is there */
bool info_memlock(uint64_t *soft, uint64_t *hard);
void info_memory_limits(const struct info_host *h, json_t *facts);
/** Path of this process in a hierarchy. @param v1 a controller of version 1; NULL: version 2 */
bool info_cgroup(const struct info_host *h, const char *v1, char *path, size_t size);
/**@}*/

/** @name domain.c: what a device has after an attach by libdmamap */
/**@{*/
struct info_domain {
	struct dmamap_container *c;
	struct dmamap_device *dev;
	char said[INFO_TEXT_MAX]; /**< the last error that was logged */
};
/** Attach. @return 0, to be closed; -errno, and `said` tells why */
int info_domain_open(struct info_domain *d, const struct info_host *h, const char *address,
	enum dmamap_backend backend);
void info_domain_close(struct info_domain *d);
void info_domain_facts(const struct info_domain *d, json_t *facts);
const char *info_backend_name(enum dmamap_backend backend);
const char *info_reserved_name(enum dmamap_reserved_type type);
/**@}*/

/** The command without an object. @return exit status */
int info_machine(const struct info_host *h, json_t *facts);

/** @name telemetry.c: a running process, and how it answers */
/**@{*/
/** Longest answer that is read; the telemetry of DPDK 22.11 sends at most 16 KiB. */
#define INFO_ANSWER_MAX (1 << 18)
struct info_process {
	const struct info_host *host;
	const char *pid;
	uid_t uid;
};
/** Look a process up. @return exit status */
int info_process_find(const struct info_host *h, const char *pid, struct info_process *p);
/** Connect to a socket of the process. @return a descriptor; -errno */
int info_connect(const struct info_process *p, const char *path, int type);
/** Parse an answer. @return NULL: it is not JSON */
json_t *info_answer(const char *text, size_t len);
/** Connect to the telemetry of DPDK. @return a descriptor; -1: the process has none */
int info_telemetry_open(const struct info_process *p);
/** Ask: the member that is named as the question, or without one the greeting. NULL: none */
json_t *info_telemetry_ask(int fd, const char *question);
/** Append the facts of each container. @return false: the program does not use libdmamap */
bool info_telemetry_containers(int fd, json_t *array);
/**@}*/

/** Ask the status socket of gantry-run. status.c. @return the answer; NULL: it has none */
json_t *info_status(const struct info_process *p);

/** @name spaces.c: what is where in the IOVA spaces of a process */
/**@{*/
/** Append the facts of each container, with `parts`. @return false: the program does not tell */
bool info_telemetry_spaces(int fd, json_t *array);
/** The same, of whatever answers: telemetry, the status socket. @return false: neither tells */
bool info_spaces(const struct info_process *p, json_t *array);
/**@}*/

/** The command `process`. @return exit status */
int info_process(const struct info_host *h, const char *pid, json_t *facts);

/**
 * Add `numa`: for each node the bytes of each owner, devices and hugepages, from what map.c read of
 * zones and containers. numa.c.
 */
void info_numa(const struct info_host *h, json_t *facts);

/** @name map.c, picture.c, page.c: what is where in a program's IOVA spaces */
/**@{*/
/** The command `map`. @return exit status */
int info_map(const struct info_host *h, const char *pid, json_t *facts);
/** Ask a program by its telemetry. @return false: it tells of no spaces, or stopped doing so */
bool info_map_read(const struct info_host *h, int fd, json_t *facts);
/** Print the facts of `map` as lines with bars. */
void info_picture(FILE *out, const json_t *facts, bool colours);
/** Write them as a web page that needs no other file. @return exit status */
int info_page_save(const struct info_host *h, const char *path, const json_t *facts);
/**@}*/

/**
 * Write a page that asks for its facts, as long as it is open. The nonce, a word, permits its
 * script and style. page.c.
 */
int info_page_live(FILE *out, const char *nonce);

/** @name programs.c: the programs that are served */
/**@{*/
/** Sockets of programs, kept open. Single-threaded. */
struct info_programs;
/**
 * Find programs. @param pids  those that are served; none: all that there are
 * @return NULL: out of memory
 */
struct info_programs *info_programs_new(const struct info_host *h, int n_pids, char *const *pids);
void info_programs_free(struct info_programs *p);
/**
 * What all programs tell: `programs`, an array, `time` and `reads`. They are asked at most once a
 * second, whoever calls.
 * @return a JSON object, owned by p until the next call
 */
const json_t *info_programs_state(struct info_programs *p);
/**@}*/

/** Print the state as metrics in the text format 0.0.4 of Prometheus. metrics.c. */
void info_metrics(FILE *out, const json_t *state);

/** The command `serve`: until SIGINT or SIGTERM. serve.c. @return exit status */
int info_serve(const struct info_host *h, const struct info_options *o, int n_pids, char **pids);

/** The command `why`. @return exit status */
int info_why(
	const struct info_host *h, const struct info_options *o, const char *name, json_t *facts);
void info_why_print(FILE *out, const json_t *facts);

/** The program; getopt(3)'s state is reset. @return exit status */
int info_run(const struct info_host *h, int argc, char **argv);

#endif /* INFO_H */
