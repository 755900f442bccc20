/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Tests of system calls that a kernel table leaves to Linux: on real files, in a folder in place
 * of sysfs.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <linux/vfio.h>

#include "dm_iommu.h"
#include "dm_kernel.h"
#include "dm_vfio_node.h"
#include "dm_process.h"
#include "dm_sysfs_dev.h"
#include "test.h"

#define RANGES 200 /* more ranges than fit in a page of text */

static char root[64];
static struct dmamap_kernel kernel;

static int
make(const char *name, const char *text)
{
	char path[512];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", root, name);
	if (text == NULL)
		return mkdir(path, 0755);
	f = fopen(path, "w");
	if (f == NULL)
		return -1;
	fputs(text, f);
	return fclose(f);
}

static int
make_reserved(void)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);
	unsigned int i;
	int rc;

	TEST_ASSERT_NOT_NULL(out, "memory");
	for (i = 0; i < RANGES; i++)
		fprintf(out, "0x%016x 0x%016x reserved\n", i * 0x10000, i * 0x10000 + 0xfff);
	fclose(out);
	rc = make("kernel/iommu_groups/7/reserved_regions", text);
	free(text);
	return rc;
}

static int
setup(void)
{
	static const char *const folders[] = {"bus", "bus/platform", "bus/platform/devices",
		"bus/platform/devices/fd000000.dma", "kernel", "kernel/iommu_groups",
		"kernel/iommu_groups/7", "kernel/iommu_groups/7/devices"};
	char link[128];
	unsigned int i;

	strcpy(root, "/tmp/gantry-sysfs-XXXXXX");
	TEST_ASSERT_NOT_NULL(mkdtemp(root), "mkdtemp");
	kernel = (struct dmamap_kernel){.sysfs = root};
	for (i = 0; i < RTE_DIM(folders); i++)
		TEST_ASSERT_SUCCESS(make(folders[i], NULL), "%s", folders[i]);
	TEST_ASSERT_SUCCESS(make("bus/platform/devices/fd000000.dma/numa_node", "3\n"), "node");
	TEST_ASSERT_SUCCESS(make_reserved(), "ranges");
	snprintf(link, sizeof(link), "%s/bus/platform/devices/fd000000.dma/driver", root);
	TEST_ASSERT_SUCCESS(symlink("../../drivers/vfio-platform", link), "driver");
	snprintf(link, sizeof(link), "%s/bus/platform/devices/fd000000.dma/iommu_group", root);
	TEST_ASSERT_SUCCESS(symlink("../../../../kernel/iommu_groups/7", link), "group");
	return TEST_SUCCESS;
}

static void
teardown(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", root);
	if (system(command) != 0)
		printf("  %s is left\n", root);
}

static int
keep_name(void *ctx, const char *name)
{
	strcpy(ctx, name);
	return 0;
}

static int
reads_files_links_and_folders(void)
{
	char text[16], name[256] = "";

	TEST_ASSERT_SUCCESS(dm_kernel_line(&kernel, text, sizeof(text),
				    "bus/platform/devices/%s/numa_node", "fd000000.dma"),
		"line");
	TEST_ASSERT(strcmp(text, "3") == 0, "%s", text);
	TEST_ASSERT_EQUAL(dm_kernel_line(&kernel, text, sizeof(text), "nothing"), -ENOENT, "file");
	TEST_ASSERT_EQUAL(dm_kernel_line(&kernel, text, sizeof(text),
				  "kernel/iommu_groups/7/reserved_regions"),
		-EFBIG, "a long file");
	TEST_ASSERT_SUCCESS(dm_kernel_link_name(&kernel, text, sizeof(text),
				    "bus/platform/devices/fd000000.dma/driver"),
		"link");
	TEST_ASSERT(strcmp(text, "vfio-platform") == 0, "%s", text);
	TEST_ASSERT_EQUAL(
		dm_kernel_link_name(&kernel, text, 4, "bus/platform/devices/fd000000.dma/driver"),
		-ENAMETOOLONG, "a short buffer");
	TEST_ASSERT_EQUAL(
		dm_kernel_link_name(&kernel, text, sizeof(text), "nothing"), -ENOENT, "link");
	TEST_ASSERT_SUCCESS(dm_kernel_list(&kernel, keep_name, name, "bus"), "list");
	TEST_ASSERT(strcmp(name, "platform") == 0, "%s", name);
	TEST_ASSERT_EQUAL(dm_kernel_list(&kernel, dm_kernel_stop, NULL, "bus"), 1, "stop");
	TEST_ASSERT_SUCCESS(dm_kernel_check_dir(&kernel, "kernel/iommu_groups/7/devices"), "empty");
	TEST_ASSERT_EQUAL(dm_kernel_check_dir(&kernel, "nothing"), -ENOENT, "folder");
	return TEST_SUCCESS;
}

static int
makes_room_for_a_long_file(void)
{
	struct dm_iommu_resv *resv;
	unsigned int n;

	TEST_ASSERT_SUCCESS(dm_sysfs_group_reserved(&kernel, 7, &resv, &n), "ranges");
	TEST_ASSERT_EQUAL(n, RANGES, "%u", n);
	TEST_ASSERT_EQUAL(resv[RANGES - 1].range.start, (RANGES - 1) * 0x10000, "the last");
	free(resv);
	TEST_ASSERT_SUCCESS(dm_sysfs_host_reserved(&kernel, &resv, &n), "of the host");
	TEST_ASSERT_EQUAL(n, RANGES, "%u", n);
	free(resv);
	return TEST_SUCCESS;
}

static int
finds_a_device_of_another_bus(void)
{
	struct dm_sysfs_dev at;
	struct dm_iommu_dev dev = {0};

	TEST_ASSERT_SUCCESS(dm_sysfs_find(&kernel, "fd000000.dma", &at), "find");
	TEST_ASSERT(strcmp(at.dir, "bus/platform/devices/fd000000.dma") == 0, "%s", at.dir);
	TEST_ASSERT_SUCCESS(dm_sysfs_dev_init(&dev, &at), "look-up");
	TEST_ASSERT_EQUAL(dev.group, 7, "%d", dev.group);
	TEST_ASSERT_EQUAL(dev.node, 3, "%d", dev.node);
	TEST_ASSERT_EQUAL(dev.n_resv, RANGES, "%u", dev.n_resv);
	dm_sysfs_dev_fini(&dev);
	return TEST_SUCCESS;
}

#define GROUP_NUMBER makedev(240, 3)
#define CDEV_NUMBER makedev(241, 0)
#define OTHER_NUMBER makedev(240, 4)

/* Whether a file's node is found, and where. NULL: it is not. */
static int
check_node(const char *file, const char *wanted)
{
	char dev[80], node[128];
	int rc;

	snprintf(dev, sizeof(dev), "%s/dev", root);
	rc = dm_vfio_node_find(root, dev, file, node, sizeof(node));
	if (wanted == NULL) {
		TEST_ASSERT_EQUAL(rc, -ENOENT, "%s: %d, %s", file, rc, node);
		return TEST_SUCCESS;
	}
	TEST_ASSERT_SUCCESS(rc, "%s: %d", file, rc);
	TEST_ASSERT(strcmp(node, wanted) == 0, "%s: %s, not %s", file, node, wanted);
	return TEST_SUCCESS;
}

static int
make_node(const char *name, dev_t number)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/dev/vfio/%s", root, name);
	return mknod(path, S_IFCHR | 0600, number);
}

static int
move_node(const char *from, const char *to)
{
	char old[128], new[128];

	snprintf(old, sizeof(old), "%s/dev/vfio/%s", root, from);
	snprintf(new, sizeof(new), "%s/dev/vfio/%s", root, to);
	return rename(old, new);
}

static int
make_classes(void)
{
	static const char *const folders[] = {"dev", "dev/vfio", "dev/vfio/devices", "class",
		"class/vfio", "class/vfio/7", "class/vfio-dev", "class/vfio-dev/vfio0",
		"class/misc", "class/misc/vfio"};
	unsigned int i;

	for (i = 0; i < RTE_DIM(folders); i++)
		TEST_ASSERT_SUCCESS(make(folders[i], NULL), "%s", folders[i]);
	TEST_ASSERT_SUCCESS(make("class/vfio/7/dev", "240:3\n"), "number");
	TEST_ASSERT_SUCCESS(make("class/vfio-dev/vfio0/dev", "241:0\n"), "number");
	TEST_ASSERT_SUCCESS(make("class/misc/vfio/dev", "10:196\n"), "number");
	return TEST_SUCCESS;
}

static int
finds_a_node_of_another_name(void)
{
	char node[8];

	TEST_ASSERT_SUCCESS(make_classes(), "sysfs");
	TEST_ASSERT_SUCCESS(check_node("/dev/vfio/7", NULL), "no node");
	if (make_node("7", GROUP_NUMBER) < 0)
		return test_skip("mknod(2): no permission");
	TEST_ASSERT_SUCCESS(make_node("devices/vfio0", CDEV_NUMBER), "mknod");
	TEST_ASSERT_SUCCESS(make_node("vfio", makedev(10, 196)), "mknod");
	TEST_ASSERT_SUCCESS(check_node("/dev/vfio/7", "/dev/vfio/7"), "its name");
	TEST_ASSERT_SUCCESS(check_node("/dev/vfio/vfio", "/dev/vfio/vfio"), "its name");
	TEST_ASSERT_SUCCESS(
		check_node("/dev/vfio/devices/vfio0", "/dev/vfio/devices/vfio0"), "its name");
	/* Others have these names now. */
	TEST_ASSERT_SUCCESS(move_node("7", "nic"), "rename");
	TEST_ASSERT_SUCCESS(move_node("devices/vfio0", "7"), "rename");
	TEST_ASSERT_SUCCESS(check_node("/dev/vfio/7", "/dev/vfio/nic"), "by its number");
	TEST_ASSERT_SUCCESS(check_node("/dev/vfio/devices/vfio0", "/dev/vfio/7"), "by its number");
	TEST_ASSERT_SUCCESS(move_node("nic", "devices/x"), "rename");
	TEST_ASSERT_SUCCESS(check_node("/dev/vfio/7", "/dev/vfio/devices/x"), "by its number");
	TEST_ASSERT_SUCCESS(move_node("devices/x", "vfio"), "rename");
	TEST_ASSERT_SUCCESS(check_node("/dev/vfio/vfio", NULL), "another file has its name");
	/* sysfs does not tell, so names decide. */
	TEST_ASSERT_SUCCESS(make_node("8", OTHER_NUMBER), "mknod");
	TEST_ASSERT_SUCCESS(check_node("/dev/vfio/8", "/dev/vfio/8"), "no number");
	TEST_ASSERT_SUCCESS(check_node("/dev/vfio/9", NULL), "no number, no node");
	TEST_ASSERT_EQUAL(dm_vfio_node_find(root, "/dev", "/dev/vfio/12345678", node, sizeof(node)),
		-ENAMETOOLONG, "a short buffer");
	TEST_ASSERT_EQUAL(dmamap_vfio_node("vfio/7", node, sizeof(node)), -EINVAL, "not in /dev");
	TEST_ASSERT_EQUAL(dmamap_vfio_node("/dev/null", NULL, 0), -EINVAL, "no buffer");
	return TEST_SUCCESS;
}

static int
calls_linux_where_the_table_is_empty(void)
{
	const struct dmamap_container_conf conf = {0};
	const struct dmamap_kernel *k = dm_kernel_of(&conf);
	const struct dm_iommu iommu = {.kernel = k, .process = dm_process_id()};
	int fd = dm_kernel_open(k, "/dev/null", O_RDWR);

	TEST_ASSERT(fd >= 0, "%d", fd);
	TEST_ASSERT_EQUAL(fcntl(fd, F_GETFD), FD_CLOEXEC, "it is open after exec");
	TEST_ASSERT_EQUAL(
		dm_kernel_ioctl_int(&iommu, fd, VFIO_GET_API_VERSION, 0), -ENOTTY, "ioctl");
	TEST_ASSERT_SUCCESS(dm_kernel_close(k, fd), "close");
	TEST_ASSERT_EQUAL(dm_kernel_close(k, fd), -EBADF, "closed");
	TEST_ASSERT_EQUAL(dm_kernel_open(k, root, O_RDWR), -EISDIR, "open");
	TEST_ASSERT_SUCCESS(dm_kernel_check_dir(k, "kernel"), "/sys is not looked at");
	return TEST_SUCCESS;
}

static const struct test_case cases[] = {
	{"reads files, links and folders", reads_files_links_and_folders},
	{"makes room for a long file", makes_room_for_a_long_file},
	{"finds a device of another bus", finds_a_device_of_another_bus},
	{"finds a node of another name", finds_a_node_of_another_name},
	{"calls Linux where the table is empty", calls_linux_where_the_table_is_empty},
};

REGISTER_TEST_SUITE(kernel_suite) = {
	.name = "kernel",
	.kind = TEST_FAST,
	.cases = cases,
	.n_cases = RTE_DIM(cases),
	.setup = setup,
	.teardown = teardown,
};
