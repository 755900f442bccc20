/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The vfio_pci bus on the mock kernel, for tests. See bus_machine.h.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <linux/pci_regs.h>

#include <rte_byteorder.h>
#include <rte_cycles.h>
#include <rte_dev.h>

#include "bus_machine.h"
#include "test.h"

#define WAIT_MS 5000

struct vfio_mock *machine;
struct dmamap_container *box;
struct vfio_pci_device *toy;
int toy_remove_result;
const char *plug_log;
void (*bus_machine_hook)(unsigned long request);

static struct vfio_pci_sysfs real_sysfs;
static struct dmamap_kernel kernel; /* the machine's, with the hook */

static int
ioctl_and_hook(void *arg, int fd, unsigned long request, uintptr_t param)
{
	int rc = vfio_mock_kernel(machine)->ioctl(arg, fd, request, param);

	if (rc >= 0 && bus_machine_hook != NULL)
		bus_machine_hook(request);
	return rc;
}

uint8_t *
config_of(const char *name)
{
	return vfio_mock_region(machine, name, VFIO_PCI_CONFIG_REGION_INDEX);
}

uint16_t
command_of(const char *name)
{
	uint16_t raw;

	memcpy(&raw, config_of(name) + PCI_COMMAND, sizeof(raw));
	return rte_le_to_cpu_16(raw);
}

void
put16(uint8_t *at, uint16_t value)
{
	value = rte_cpu_to_le_16(value);
	memcpy(at, &value, sizeof(value));
}

void
config_fill(const struct bus_device *device)
{
	const unsigned int vectors = device->conf->irqs[VFIO_PCI_MSIX_IRQ_INDEX];
	uint8_t *cfg = config_of(device->name);

	put16(cfg + PCI_VENDOR_ID, device->vendor);
	put16(cfg + PCI_DEVICE_ID, device->device);
	put16(cfg + PCI_SUBSYSTEM_VENDOR_ID, 0x1af4);
	put16(cfg + PCI_SUBSYSTEM_ID, 0x1100);
	put16(cfg + PCI_CLASS_DEVICE, 0x0200);
	put16(cfg + PCI_COMMAND, PCI_COMMAND_MASTER);
	if (vectors == 0)
		return;
	put16(cfg + PCI_STATUS, PCI_STATUS_CAP_LIST);
	cfg[PCI_CAPABILITY_LIST] = BUS_CAP_AT;
	cfg[BUS_CAP_AT] = PCI_CAP_ID_MSIX;
	put16(cfg + BUS_CAP_AT + PCI_MSIX_FLAGS, vectors - 1);
	put16(cfg + BUS_CAP_AT + PCI_MSIX_TABLE, BUS_TABLE_AT | device->conf->msix_bar);
}

static int
device_add(int group, const struct bus_device *device)
{
	TEST_ASSERT_SUCCESS(vfio_mock_add_device(machine, group, device->name, 0, "vfio-pci"), "%s",
		device->name);
	TEST_ASSERT_SUCCESS(
		vfio_mock_describe_device(machine, device->name, device->conf), "%s", device->name);
	config_fill(device);
	return 0;
}

int
bus_machine_make(
	unsigned int linux_version, enum dmamap_backend backend, const struct bus_device *devices)
{
	const struct vfio_mock_iommu_conf wide = {.aperture = {0, (UINT64_C(1) << 48) - 1}};
	const struct vfio_mock_conf conf = {.linux_version = linux_version};
	struct dmamap_container_conf cconf = {.name = BUS_BOX, .backend = backend};
	struct vfio_mock_group_conf group = {0};
	int number = -1;

	TEST_ASSERT_SUCCESS(vfio_mock_create(&conf, &machine), "machine");
	group.iommu = vfio_mock_add_iommu(machine, &wide);
	for (; devices->name != NULL; devices++) {
		if (!devices->in_last_group)
			number = vfio_mock_add_group(machine, &group);
		TEST_ASSERT_SUCCESS(device_add(number, devices), "%s", devices->name);
	}
	kernel = *vfio_mock_kernel(machine);
	kernel.ioctl = ioctl_and_hook;
	cconf.kernel = &kernel;
	vfio_pci_sysfs = (struct vfio_pci_sysfs){
		.sysfs = kernel.sysfs, .arg = kernel.arg, .read_file = kernel.read_file};
	return dmamap_container_create(&cconf, &box);
}

void
bus_machine_drop(void)
{
	dmamap_container_destroy(box);
	vfio_mock_destroy(machine);
	box = NULL;
	machine = NULL;
}

int
bus_machine_setup(struct vfio_pci_driver *driver, enum dmamap_backend backend,
	const struct bus_device *devices)
{
	real_sysfs = vfio_pci_sysfs;
	toy = NULL;
	toy_remove_result = 0;
	vfio_pci_register(driver);
	return bus_machine_make(0, backend, devices);
}

void
bus_machine_teardown(struct vfio_pci_driver *driver)
{
	struct vfio_pci_device *dev, *tmp;

	RTE_TAILQ_FOREACH_SAFE(dev, &vfio_pci_devices, next, tmp)
		if (dev->driver == NULL)
			vfio_pci_device_remove(dev);
	vfio_pci_unregister(driver);
	if (TAILQ_EMPTY(&vfio_pci_devices))
		bus_machine_drop();
	vfio_pci_sysfs = real_sysfs;
}

int
toy_probe(struct vfio_pci_driver *driver, struct vfio_pci_device *dev)
{
	RTE_SET_USED(driver);
	toy = dev;
	return 0;
}

int
toy_remove(struct vfio_pci_device *dev)
{
	if (toy_remove_result == 0 && toy == dev)
		toy = NULL;
	return toy_remove_result;
}

struct vfio_pci_device *
on_bus(const char *name)
{
	struct rte_pci_addr addr;

	return rte_pci_addr_parse(name, &addr) == 0 ? vfio_pci_list_find(&addr) : NULL;
}

int
plug(const char *name, const char *args)
{
	char text[128];
	int rc;

	snprintf(text, sizeof(text), "vfio_pci:%s,container=" BUS_BOX "%s", name, args);
	test_log_begin();
	rc = rte_dev_probe(text);
	plug_log = test_log_end();
	return rc;
}

int
unplug(const char *name)
{
	struct vfio_pci_device *dev = on_bus(name);

	return dev == NULL ? -ENODEV : rte_dev_remove(&dev->device);
}

bool
wait_for(const unsigned int *counter, unsigned int n)
{
	unsigned int ms;

	for (ms = 0; ms < WAIT_MS && __atomic_load_n(counter, __ATOMIC_ACQUIRE) < n; ms++)
		rte_delay_us_sleep(1000);
	return __atomic_load_n(counter, __ATOMIC_ACQUIRE) == n;
}
