/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Fixture: a machine of the mock kernel, a container and memory to map. See machine.h.
 */

#include <errno.h>
#include <linux/capability.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "machine.h"
#include "peek.h"
#include "test.h"

static const struct vfio_mock_resv msi = {{0xfee00000, 0xfeefffff}, DMAMAP_RESERVED_MSI};
static const struct vfio_mock_resv hole = {{0x8000000, 0x80fffff}, DMAMAP_RESERVED_BUS};

struct vfio_mock *mock;
struct dmamap_container *c;
char *buf;
static char *area;

static int
add_group(int iommu, const struct vfio_mock_resv *resv)
{
	struct vfio_mock_group_conf conf = {.iommu = iommu, .n_resv = resv != NULL, .resv = resv};

	return vfio_mock_add_group(mock, &conf);
}

static int
make_machine(const struct vfio_mock_conf *conf)
{
	static const struct vfio_mock_iommu_conf narrow = {.aperture = {0, UINT32_MAX}};
	static const struct vfio_mock_iommu_conf coarse = {.page_sizes = 1 << 16};
	int wide, twins;

	TEST_ASSERT_SUCCESS(vfio_mock_create(conf, &mock), "mock");
	wide = vfio_mock_add_iommu(mock, NULL);
	vfio_mock_add_device(mock, add_group(wide, &msi), "nic0", 0, "vfio-pci");
	vfio_mock_add_device(mock, add_group(wide, &msi), "nic1", 0, "vfio-pci");
	twins = add_group(wide, &msi);
	vfio_mock_add_device(mock, twins, "twin0", 0, "vfio-pci");
	vfio_mock_add_device(mock, twins, "twin1", 0, "vfio-pci");
	vfio_mock_add_device(mock, add_group(vfio_mock_add_iommu(mock, &narrow), NULL), "narrow0",
		0, "vfio-pci");
	vfio_mock_add_device(
		mock, add_group(vfio_mock_add_iommu(mock, NULL), &hole), "odd0", 0, "vfio-pci");
	vfio_mock_add_device(mock, add_group(vfio_mock_add_iommu(mock, &coarse), NULL), "coarse0",
		0, "vfio-pci");
	return 0;
}

int
machine_make_container(enum dmamap_sharing sharing)
{
	struct dmamap_container_conf conf = {.backend = DMAMAP_BACKEND_TYPE1,
		.sharing = sharing,
		.kernel = vfio_mock_kernel(mock)};

	return dmamap_container_create(&conf, &c);
}

int
machine_remake(const struct vfio_mock_conf *conf, enum dmamap_sharing sharing)
{
	TEST_ASSERT_SUCCESS(dmamap_container_destroy(c), "destroy");
	TEST_ASSERT_SUCCESS(vfio_mock_destroy(mock), "mock destroy");
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

	/* A failed case leaves devices attached. A process ends with what it holds. */
	for (i = 0; i < RTE_DIM(names); i++)
		if (peek(dmamap_container_by_device(names[i])) != NULL)
			goto unmap;
	dmamap_container_destroy(c);
	vfio_mock_destroy(mock);
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

	if (vfio_mock_dma_write(mock, dev, iova + len - 1, &byte, 1) < 0 || va[len - 1] != byte)
		return false;
	return vfio_mock_dma_read(mock, dev, iova, &got, 1) == 0 && got == (len == 1 ? byte : old);
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
