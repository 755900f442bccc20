/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Command line of gantry-info, and the choice of the command. Implements part of info.h.
 */

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "info.h"

/** Seconds between two pictures. */
#define WATCH_DEFAULT 2
/** TCP port of serve. */
#define DEFAULT_PORT 9477
#define DEFAULT_LENGTH (UINT64_C(2) << 20)

static const char usage[] =
	"usage: gantry-info [--json]\n"
	"       gantry-info [--json] device BDF\n"
	"       gantry-info [--json] group NUMBER\n"
	"       gantry-info [--json] process PID\n"
	"       gantry-info [--json | --html=FILE] [--watch[=SECONDS]] map PID\n"
	"       gantry-info [--port=NUMBER] serve [PID...]\n"
	"       gantry-info [OPTION...] why BDF\n"
	"\n"
	"Tells what this machine, a PCI device, an IOMMU group or a running process has of VFIO,\n"
	"and why a device cannot be used, with the command that mends it.\n"
	"\n"
	"  --json           print JSON\n"
	"  --help, --version\n"
	"\n"
	"Options of map, which draws the IOVA spaces of a DPDK program:\n"
	"  --html=FILE      write a web page instead of lines\n"
	"  --watch[=SECONDS]  draw again and again (default: every 2 seconds)\n"
	"\n"
	"Option of serve, which shows the same and metrics, as a web server for this machine:\n"
	"  --port=NUMBER    TCP port on 127.0.0.1 (default: 9477; 0: any)\n"
	"\n"
	"Options of why, which say what the program needs:\n"
	"  --backend=auto|type1|iommufd|noiommu  kernel interface (auto: iommufd, else type1)\n"
	"  --iova=ADDRESS   map at this IOVA (default: anywhere)\n"
	"  --length=BYTES   memory that is mapped, with K, M or G (default: 2M)\n"
	"  --maps=NUMBER    map entries (default: 1)\n"
	"  --dma-mask=BITS  address bits that the device reaches, 12 to 64\n"
	"  --no-huge        the program needs no hugepages\n"
	"\n"
	"Exit status: 0 if it is usable, or was found; 1 if not; 2 for a wrong command line.\n";

static int
bad_value(const struct info_host *h, const char *option, const char *value, const char *wants)
{
	return info_fail(h, INFO_USAGE, "--%s=%s: %s", option, value, wants);
}

/** Parse a number with a suffix K, M or G. @return whether it is one */
static bool
number_parse(const char *text, bool suffix, uint64_t *number)
{
	static const char units[] = "KMG";
	const char *unit;
	unsigned int shift;
	char *end;

	if (strspn(text, "0123456789") == 0)
		return false;
	errno = 0;
	*number = strtoull(text, &end, 0);
	if (errno != 0 || end == text)
		return false;
	if (*end == '\0')
		return true;
	unit = suffix && end[1] == '\0' ? strchr(units, *end) : NULL;
	if (unit == NULL)
		return false;
	shift = 10 * (unsigned int)(unit - units + 1);
	if (*number > UINT64_MAX >> shift)
		return false;
	*number <<= shift;
	return true;
}

static int
backend_parse(const struct info_host *h, const char *text, enum dmamap_backend *backend)
{
	unsigned int i;

	for (i = DMAMAP_BACKEND_AUTO; i <= DMAMAP_BACKEND_NOIOMMU; i++) {
		if (strcmp(text, info_backend_name((enum dmamap_backend)i)) == 0) {
			*backend = (enum dmamap_backend)i;
			return 0;
		}
	}
	return bad_value(h, "backend", text, "it is auto, type1, iommufd or noiommu");
}

static int
why_option(const struct info_host *h, int c, const char *text, struct info_options *o)
{
	uint64_t number = 0;

	switch (c) {
	case 'b':
		return backend_parse(h, text, &o->backend);
	case 'i':
		o->has_iova = number_parse(text, false, &o->iova) && o->iova % 4096 == 0;
		return o->has_iova ? 0 : bad_value(h, "iova", text, "not a multiple of 4096");
	case 'l':
		if (!number_parse(text, true, &o->length) || o->length == 0 || o->length >> 46 != 0)
			return bad_value(h, "length", text, "not a number of bytes, up to 64 TiB");
		return 0;
	case 'm':
		if (!number_parse(text, false, &o->maps) || o->maps == 0 || o->maps > INT32_MAX)
			return bad_value(h, "maps", text, "not a number of map entries");
		return 0;
	case 'd':
		if (!number_parse(text, false, &number) || number < 12 || number > 64)
			return bad_value(h, "dma-mask", text, "not a number of bits, 12 to 64");
		o->dma_mask = (unsigned int)number;
		return 0;
	default:
		o->no_huge = true;
		return 0;
	}
}

static int
map_option(const struct info_host *h, int c, const char *text, struct info_options *o)
{
	uint64_t number = WATCH_DEFAULT;

	if (c == 'H') {
		o->html = text;
		return text[0] != '\0' ? 0 : bad_value(h, "html", text, "not a file name");
	}
	if (text != NULL && (!number_parse(text, false, &number) || number == 0 || number > 3600))
		return bad_value(h, "watch", text, "not a number of seconds, 1 to 3600");
	o->watch = (unsigned int)number;
	return 0;
}

static int
serve_option(const struct info_host *h, const char *text, struct info_options *o)
{
	uint64_t number;

	if (!number_parse(text, false, &number) || number > UINT16_MAX)
		return bad_value(h, "port", text, "not a number of a port, 0 to 65535");
	o->port = (uint16_t)number;
	return 0;
}

/** What an option is for. */
enum option_of { OF_ALL, OF_WHY, OF_MAP, OF_SERVE };

/** @return 0, with optind at the command; a status; -1: done (--help, --version). */
static int
options_parse(const struct info_host *h, int argc, char **argv, struct info_options *o,
	enum option_of *of)
{
	static const struct option options[] = {
		{"backend", required_argument, NULL, 'b'},
		{"dma-mask", required_argument, NULL, 'd'},
		{"help", no_argument, NULL, 'h'},
		{"html", required_argument, NULL, 'H'},
		{"iova", required_argument, NULL, 'i'},
		{"json", no_argument, NULL, 'j'},
		{"length", required_argument, NULL, 'l'},
		{"maps", required_argument, NULL, 'm'},
		{"no-huge", no_argument, NULL, 'n'},
		{"port", required_argument, NULL, 'p'},
		{"version", no_argument, NULL, 'V'},
		{"watch", optional_argument, NULL, 'w'},
		{NULL, 0, NULL, 0},
	};
	int c, rc = 0;

	opterr = 0;
	optind = 0;
	while (rc == 0 && (c = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		if (c == 'j') {
			o->json = true;
		} else if (c == 'h') {
			return fputs(usage, h->out), -1;
		} else if (c == 'V') {
			return fprintf(h->out, "gantry-info %s\n", GANTRY_VERSION), -1;
		} else if (c == '?' || c == ':') {
			rc = info_fail(h, INFO_USAGE, "%s: %s: see --help", argv[optind - 1],
				c == '?' ? "unknown option" : "lacks its value");
		} else if (c == 'H' || c == 'w') {
			*of = OF_MAP;
			rc = map_option(h, c, optarg, o);
		} else if (c == 'p') {
			*of = OF_SERVE;
			rc = serve_option(h, optarg, o);
		} else {
			*of = OF_WHY;
			rc = why_option(h, c, optarg, o);
		}
	}
	return rc;
}

static int
command_run(const struct info_host *h, const struct info_options *o, int argc, char **argv,
	json_t *facts)
{
	static const struct {
		const char *name, *wants;
		int (*run)(const struct info_host *h, const char *object, json_t *facts);
	} commands[] = {
		{"device", "the PCI address of a device", info_device},
		{"group", "the number of an IOMMU group", info_group},
		{"map", "a process ID", info_map},
		{"process", "a process ID", info_process},
		{"why", "the PCI address of a device", NULL},
	};
	unsigned int i;

	if (argc == 0)
		return info_machine(h, facts);
	for (i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(argv[0], commands[i].name) == 0)
			break;
	if (i == sizeof(commands) / sizeof(commands[0]))
		return info_fail(h, INFO_USAGE,
			"%s: unknown command: there are device, group, map, process, serve and why",
			argv[0]);
	if (argc != 2)
		return info_fail(
			h, INFO_USAGE, "%s: wants one argument, %s", argv[0], commands[i].wants);
	return commands[i].run != NULL ? commands[i].run(h, argv[1], facts)
				       : info_why(h, o, argv[1], facts);
}

/** Print the facts of one run. @return exit status */
static int
facts_print(const struct info_host *h, const struct info_options *o, const char *command,
	const json_t *facts)
{
	const bool map = strcmp(command, "map") == 0;

	if (map && o->html != NULL)
		return info_page_save(h, o->html, facts);
	if (o->json) {
		json_dumpf(facts, h->out, JSON_INDENT(2));
		fputc('\n', h->out);
	} else if (strcmp(command, "why") == 0) {
		info_why_print(h->out, facts);
	} else if (map) {
		/* The next picture takes the place of the last one. */
		if (o->watch > 0 && isatty(fileno(h->out)))
			fputs("\033[H\033[J", h->out);
		info_picture(h->out, facts, isatty(fileno(h->out)));
	} else {
		info_print(h->out, facts);
	}
	fflush(h->out);
	return INFO_OK;
}

static int
command_once(const struct info_host *h, const struct info_options *o, int argc, char **argv)
{
	json_t *facts = json_object();
	int rc = command_run(h, o, argc, argv, facts), printed = INFO_OK;

	if (json_object_size(facts) > 0)
		printed = facts_print(h, o, argc > 0 ? argv[0] : "", facts);
	json_decref(facts);
	return rc != INFO_OK ? rc : printed;
}

int
info_run(const struct info_host *h, int argc, char **argv)
{
	static const char *const commands[] = {
		[OF_WHY] = "why", [OF_MAP] = "map", [OF_SERVE] = "serve"};
	struct info_options o = {.length = DEFAULT_LENGTH, .maps = 1, .port = DEFAULT_PORT};
	enum option_of of = OF_ALL;
	int rc = options_parse(h, argc, argv, &o, &of);

	if (rc != 0)
		return rc < 0 ? INFO_OK : rc;
	if (o.has_iova && o.iova + o.length - 1 < o.iova)
		return info_fail(
			h, INFO_USAGE, "--iova and --length: the range ends beyond 64 bits");
	if (of != OF_ALL && (optind == argc || strcmp(argv[optind], commands[of]) != 0))
		return info_fail(h, INFO_USAGE,
			"options other than --json are for why, map or serve: see --help");
	if (o.json && o.html != NULL)
		return info_fail(h, INFO_USAGE, "--json or --html, not both");
	if (optind < argc && strcmp(argv[optind], "serve") == 0)
		return o.json
			? info_fail(h, INFO_USAGE, "serve: it has no --json: ask for /state.json")
			: info_serve(h, &o, argc - optind - 1, argv + optind + 1);
	do {
		rc = command_once(h, &o, argc - optind, argv + optind);
	} while (rc == INFO_OK && o.watch > 0 && sleep(o.watch) == 0);
	return rc;
}
