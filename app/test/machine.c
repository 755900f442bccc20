/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * On what do suites of the container run? A machine of the software model, and memory to map.
 */

#include <errno.h>
#include <linux/capability.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "machine.h"
#include "test.h"

static const struct dmamap_model_resv msi = {{0xfee00000, 0xfeefffff}, DMAMAP_RESERVED_MSI};
static const struct dmamap_model_resv hole = {{0x8000000, 0x80fffff}, DMAMAP_RESERVED_BUS};

struct dmamap_model *model;
struct dmamap_container *c;
char *buf;
static char *area;

static int
add_group(int iommu, const struct dmamap_model_resv *resv)
{
	struct dmamap_model_group_conf conf = {
		.iommu = iommu, .n_resv = resv != NULL, .resv = resv};

	return dmamap_model_add_group(model, &conf);
}

static int
make_machine(const struct dmamap_model_conf *conf)
{
	static const struct dmamap_model_iommu_conf narrow = {.aperture = {0, UINT32_MAX}};
	static const struct dmamap_model_iommu_conf coarse = {.page_sizes = 1 << 16};
	int wide, twins;

	TEST_ASSERT_SUCCESS(dmamap_model_create(conf, &model), "model");
	wide = dmamap_model_add_iommu(model, NULL);
	dmamap_model_add_device(model, add_group(wide, &msi), "nic0", 0, "vfio-pci");
	dmamap_model_add_device(model, add_group(wide, &msi), "nic1", 0, "vfio-pci");
	twins = add_group(wide, &msi);
	dmamap_model_add_device(model, twins, "twin0", 0, "vfio-pci");
	dmamap_model_add_device(model, twins, "twin1", 0, "vfio-pci");
	dmamap_model_add_device(model, add_group(dmamap_model_add_iommu(model, &narrow), NULL),
		"narrow0", 0, "vfio-pci");
	dmamap_model_add_device(model, add_group(dmamap_model_add_iommu(model, NULL), &hole),
		"odd0", 0, "vfio-pci");
	dmamap_model_add_device(model, add_group(dmamap_model_add_iommu(model, &coarse), NULL),
		"coarse0", 0, "vfio-pci");
	return 0;
}

int
machine_make_container(enum dmamap_sharing sharing)
{
	struct dmamap_container_conf conf = {
		.backend = DMAMAP_BACKEND_MODEL, .sharing = sharing, .model = model};

	return dmamap_container_create(&conf, &c);
}

int
machine_remake(const struct dmamap_model_conf *conf, enum dmamap_sharing sharing)
{
	TEST_ASSERT_SUCCESS(dmamap_container_destroy(c), "destroy");
	TEST_ASSERT_SUCCESS(dmamap_model_destroy(model), "model destroy");
	TEST_ASSERT_SUCCESS(make_machine(conf), "machine");
	return machine_make_container(sharing);
}

int
machine_setup(void)
{
	area = mmap(
		NULL, BUF_LEN + MB2, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	TEST_ASSERT(area != MAP_FAILED, "no memory");
	buf = RTE_PTR_ALIGN_CEIL(area, MB2);
	TEST_ASSERT_SUCCESS(make_machine(NULL), "machine");
	return machine_make_container(DMAMAP_SHARE);
}

void
machine_teardown(void)
{
	static const char *const names[] = {
		"nic0", "nic1", "twin0", "twin1", "narrow0", "odd0", "coarse0"};
	unsigned int i;

	/* A case that failed half-way leaves devices attached; processes end with what they hold.
	 */
	for (i = 0; i < RTE_DIM(names); i++)
		if (dmamap_container_by_device(names[i]) != NULL)
			goto unmap;
	dmamap_container_destroy(c);
	dmamap_model_destroy(model);
unmap:
	munmap(area, BUF_LEN + MB2);
}

struct dmamap_container_info
machine_info(void)
{
	struct dmamap_container_info i;

	dmamap_container_info(c, &i);
	return i;
}

struct dmamap_device *
machine_attach(const char *name)
{
	struct dmamap_device *d = NULL;

	dmamap_container_attach(c, name, &d);
	return d;
}

bool
machine_reaches(const char *dev, rte_iova_t iova, char *va, size_t len)
{
	char byte = va[len - 1] ^ 0x5a, got = 0, old = va[0];

	if (dmamap_model_dma_write(model, dev, iova + len - 1, &byte, 1) < 0 || va[len - 1] != byte)
		return false;
	return dmamap_model_dma_read(model, dev, iova, &got, 1) == 0 &&
		got == (len == 1 ? byte : old);
}

int
machine_limit_memory(uint64_t bytes)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct caps[_LINUX_CAPABILITY_U32S_3];
	static struct rlimit at_start;
	static bool known;
	struct rlimit limit;

	if (!known && getrlimit(RLIMIT_MEMLOCK, &at_start) < 0)
		return -EPERM;
	known = true;
	limit = at_start;
	if (bytes != 0)
		limit.rlim_cur = bytes;
	if (syscall(SYS_capget, &head, caps) < 0)
		return -EPERM;
	if (bytes != 0)
		caps[0].effective &= ~(1u << CAP_IPC_LOCK);
	else
		caps[0].effective |= caps[0].permitted & 1u << CAP_IPC_LOCK;
	return limit.rlim_cur > limit.rlim_max || setrlimit(RLIMIT_MEMLOCK, &limit) < 0 ||
			syscall(SYS_capset, &head, caps) < 0
		? -EPERM
		: 0;
}
