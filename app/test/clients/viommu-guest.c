/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * A guest without an operating system, for a QEMU with a virtual IOMMU (VT-d) and two assigned edu
 * DMA engines. QEMU has a VFIO container for each engine, and each change that the guest makes to
 * its IOMMU becomes maps and unmaps there. Both engines copy: by physical addresses, then
 * translated (the same IOVAs, other memory), then with other pages at these IOVAs, then by physical
 * addresses again. app/test/e2e/test_vfio_front_programs.py starts it, alone and under gantry-run.
 *
 * It is an ELF file of 32 bits that QEMU's -kernel loads (Multiboot), runs without paging and
 * prints to the debug console. isa-debug-exit gets 0, or the number of the step that failed.
 *
 * Section numbers are those of the VT-d specification, revision 3.4.
 */

#include <stdbool.h>
#include <stdint.h>

#define PAGE 4096U
#define N_ENGINES 2

/* Ports of QEMU's debug console, of isa-debug-exit, and of PCI configuration space. */
#define PORT_CONSOLE 0xe9
#define PORT_EXIT 0xf4
#define PORT_CONFIG 0xcf8
#define PORT_CONFIG_DATA 0xcfc

/* Slots of the engines on bus 0, as the test's command line sets them. */
#define FIRST_SLOT 4
#define CONFIG_COMMAND 0x04
#define COMMAND_MEMORY_MASTER 6U
#define CONFIG_BAR0 0x10

/* QEMU docs/specs/edu.rst. */
#define EDU_SRC 0x80
#define EDU_DST 0x88
#define EDU_COUNT 0x90
#define EDU_CMD 0x98
#define EDU_CMD_START 1U
#define EDU_CMD_TO_RAM 2U
#define EDU_BUFFER 0x40000U
#define EDU_LEN 2048U

/* Chapter 11: registers. The address is that of QEMU's only unit. */
#define VTD 0xfed90000U
#define VTD_ECAP 0x10
#define ECAP_IRO(ecap) (((ecap) >> 8 & 0x3ff) * 16)
#define VTD_GCMD 0x18
#define VTD_GSTS 0x1c
#define GCMD_TE (1U << 31)
#define GCMD_SRTP (1U << 30)
#define VTD_RTADDR 0x20
#define VTD_CCMD 0x28
#define CCMD_HIGH_GLOBAL (1U << 31 | 1U << 29)
#define VTD_IOTLB 8 /* Relative to the offset in ECAP.IRO. */
#define IOTLB_HIGH_GLOBAL (1U << 31 | 1U << 28)

/* Chapter 9: tables. */
#define PRESENT 1U
#define CONTEXT_39_BITS 1U
#define CONTEXT_DOMAIN(id) ((id) << 8)
#define PTE_READ_WRITE 3U

/* IOVAs of each engine's pages: one to read, one to write. */
#define IOVA_FROM 0x10000000U
#define IOVA_TO (IOVA_FROM + PAGE)

typedef uint64_t table[PAGE / sizeof(uint64_t)];
typedef uint8_t page[PAGE];

static table root __attribute__((aligned(PAGE)));
static table contexts __attribute__((aligned(PAGE)));
/* Three levels for each engine. */
static table levels[N_ENGINES][3] __attribute__((aligned(PAGE)));
/* Two sets of pages, source and destination. */
static page pages[2][N_ENGINES][2] __attribute__((aligned(PAGE)));
/* Initial stack of the code below. */
uint8_t stack[16384] __attribute__((aligned(16), used));

/* The Multiboot header (magic, no flags, checksum), and the entry point. */
__asm__(".section .text.multiboot, \"ax\"\n"
	".balign 4\n"
	".long 0x1badb002, 0, -0x1badb002\n"
	".text\n"
	".globl _start\n"
	"_start:\n"
	"	movl $stack + 16384, %esp\n"
	"	call guest\n"
	"	hlt\n");

static void
out8(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static void
out32(uint16_t port, uint32_t value)
{
	__asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port));
}

static uint32_t
in32(uint16_t port)
{
	uint32_t value;

	__asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static volatile uint32_t *
reg(uint32_t base, uint32_t offset)
{
	return (volatile uint32_t *)(base + offset);
}

static void
print(const char *text)
{
	while (*text != '\0')
		out8(PORT_CONSOLE, (uint8_t)*text++);
}

static uint32_t
config_address(unsigned int engine, uint32_t offset)
{
	return 1U << 31 | (FIRST_SLOT + engine) << 11 | offset;
}

/* The engine's registers; the firmware assigned the BAR. */
static uint32_t
engine_base(unsigned int engine)
{
	uint32_t command;

	out32(PORT_CONFIG, config_address(engine, CONFIG_COMMAND));
	command = in32(PORT_CONFIG_DATA);
	out32(PORT_CONFIG_DATA, (command & 0xffff) | COMMAND_MEMORY_MASTER);
	out32(PORT_CONFIG, config_address(engine, CONFIG_BAR0));
	return in32(PORT_CONFIG_DATA) & ~0xfU;
}

static void
transfer(uint32_t base, uint32_t from, uint32_t to, uint32_t flags)
{
	*reg(base, EDU_SRC) = from;
	*reg(base, EDU_DST) = to;
	*reg(base, EDU_COUNT) = EDU_LEN;
	*reg(base, EDU_CMD) = EDU_CMD_START | flags;
	while ((*reg(base, EDU_CMD) & EDU_CMD_START) != 0)
		;
}

/*
 * The engine copies from one of its addresses to another. The check compares the pages that these
 * addresses should mean.
 */
static bool
copies(unsigned int engine, uint32_t from, uint32_t to, page *set, uint8_t seed)
{
	uint32_t base = engine_base(engine);
	bool right = true;

	for (uint32_t i = 0; i < PAGE; i++) {
		set[0][i] = (uint8_t)(seed * 31 + engine * 101 + i * 7 + (i >> 8));
		set[1][i] = 0;
	}
	transfer(base, from, EDU_BUFFER, 0);
	transfer(base, EDU_BUFFER, to, EDU_CMD_TO_RAM);
	for (uint32_t i = 0; i < PAGE; i++)
		right = right && ((volatile uint8_t *)set[1])[i] == (i < EDU_LEN ? set[0][i] : 0);
	return right;
}

static bool
copy_physical(uint8_t seed)
{
	for (unsigned int i = 0; i < N_ENGINES; i++)
		if (!copies(i, (uint32_t)pages[0][i][0], (uint32_t)pages[0][i][1], pages[0][i],
			    seed))
			return false;
	return true;
}

static bool
copy_translated(unsigned int set, uint8_t seed)
{
	for (unsigned int i = 0; i < N_ENGINES; i++)
		if (!copies(i, IOVA_FROM, IOVA_TO, pages[set][i], seed))
			return false;
	return true;
}

/* Sections 9.1, 9.3 and 9.8. */
static void
fill_tables(unsigned int set)
{
	root[0] = (uint32_t)contexts | PRESENT;
	for (uint32_t i = 0; i < N_ENGINES; i++) {
		uint32_t entry = (FIRST_SLOT + i) * 8 * 2;

		levels[i][0][IOVA_FROM >> 30] = (uint32_t)levels[i][1] | PTE_READ_WRITE;
		levels[i][1][IOVA_FROM >> 21 & 511] = (uint32_t)levels[i][2] | PTE_READ_WRITE;
		for (uint32_t j = 0; j < 2; j++)
			levels[i][2][(IOVA_FROM >> 12 & 511) + j] =
				(uint32_t)pages[set][i][j] | PTE_READ_WRITE;
		contexts[entry] = (uint32_t)levels[i][0] | PRESENT;
		contexts[entry + 1] = CONTEXT_39_BITS | CONTEXT_DOMAIN(i + 1);
	}
}

static void
wait_clear(volatile uint32_t *value, uint32_t bit)
{
	while ((*value & bit) != 0)
		;
}

/* Section 6.5.1: the context cache, then the IOTLB. */
static void
invalidate(void)
{
	uint32_t iotlb = ECAP_IRO(*reg(VTD, VTD_ECAP)) + VTD_IOTLB;

	*reg(VTD, VTD_CCMD) = 0;
	*reg(VTD, VTD_CCMD + 4) = CCMD_HIGH_GLOBAL;
	wait_clear(reg(VTD, VTD_CCMD + 4), 1U << 31);
	*reg(VTD, iotlb) = 0;
	*reg(VTD, iotlb + 4) = IOTLB_HIGH_GLOBAL;
	wait_clear(reg(VTD, iotlb + 4), 1U << 31);
}

/* Section 11.4.4. */
static void
translation_on(void)
{
	*reg(VTD, VTD_RTADDR) = (uint32_t)root;
	*reg(VTD, VTD_RTADDR + 4) = 0;
	*reg(VTD, VTD_GCMD) = GCMD_SRTP;
	while ((*reg(VTD, VTD_GSTS) & GCMD_SRTP) == 0)
		;
	invalidate();
	*reg(VTD, VTD_GCMD) = GCMD_TE;
	while ((*reg(VTD, VTD_GSTS) & GCMD_TE) == 0)
		;
}

static void
translation_off(void)
{
	*reg(VTD, VTD_GCMD) = 0;
	wait_clear(reg(VTD, VTD_GSTS), GCMD_TE);
}

static void
step(uint8_t number, const char *name, bool right)
{
	print(name);
	print(right ? ": copied\n" : ": memory is wrong\n");
	if (!right)
		out8(PORT_EXIT, number);
}

void guest(void);

void
guest(void)
{
	step(1, "physical", copy_physical(1));
	fill_tables(0);
	translation_on();
	step(2, "translated", copy_translated(0, 2));
	fill_tables(1);
	invalidate();
	step(3, "translated to other pages", copy_translated(1, 3));
	translation_off();
	step(4, "physical again", copy_physical(4));
	out8(PORT_EXIT, 0);
}
