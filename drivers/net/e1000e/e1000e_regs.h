/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Registers and descriptors of the Intel 82574L, each with its section of the "Intel 82574 GbE
 * Controller Family Datasheet", revision 3.4. All files of the driver use them.
 */

#ifndef E1000E_REGS_H
#define E1000E_REGS_H

#include <stdint.h>

#include <rte_bitops.h>
#include <rte_byteorder.h>
#include <rte_common.h>

/** A field of a register: value v at bit position pos. */
#define E1000E_FIELD(v, pos) ((uint32_t)(v) << (pos))

/** @name General registers (10.2.2) */
/**@{*/
#define E1000E_CTRL 0x00000
#define E1000E_CTRL_FD RTE_BIT32(0)
#define E1000E_CTRL_GIO_MASTER_DISABLE RTE_BIT32(2)
#define E1000E_CTRL_ASDE RTE_BIT32(5)
#define E1000E_CTRL_SLU RTE_BIT32(6)
#define E1000E_CTRL_SPEED_100 E1000E_FIELD(1, 8)
#define E1000E_CTRL_SPEED_MASK E1000E_FIELD(3, 8)
#define E1000E_CTRL_FRCSPD RTE_BIT32(11)
#define E1000E_CTRL_FRCDPX RTE_BIT32(12)
#define E1000E_CTRL_RST RTE_BIT32(26)
#define E1000E_CTRL_RFCE RTE_BIT32(27)
#define E1000E_CTRL_TFCE RTE_BIT32(28)
#define E1000E_CTRL_ERRATUM_OFF RTE_BIT32(29) /* must be 0 */
#define E1000E_CTRL_VME RTE_BIT32(30)

#define E1000E_STATUS 0x00008
#define E1000E_STATUS_FD RTE_BIT32(0)
#define E1000E_STATUS_LU RTE_BIT32(1)
#define E1000E_STATUS_SPEED(status) (((status) >> 6) & 3) /* 0: 10, 1: 100, 2 and 3: 1000 Mb/s */
#define E1000E_STATUS_GIO_MASTER RTE_BIT32(19)

#define E1000E_EEC 0x00010
#define E1000E_EEC_AUTO_RD RTE_BIT32(9)
#define E1000E_EEC_SIZE(eec) (((eec) >> 11) & 0xF) /* the NVM has 2^(6 + size) words */
#define E1000E_EEC_IS_FLASH(eec) ((((eec) >> 15) & 3) == 3)
#define E1000E_EEC_FLUPD RTE_BIT32(19) /* copies the words to the flash; set while it does */
#define E1000E_EEC_AUPDEN RTE_BIT32(20) /* the chip does so by itself */

#define E1000E_EERD 0x00014
#define E1000E_EERD_START RTE_BIT32(0)
#define E1000E_EERD_DONE RTE_BIT32(1)
#define E1000E_EERD_ADDR(word) E1000E_FIELD(word, 2)
#define E1000E_EERD_DATA(eerd) ((uint16_t)((eerd) >> 16))

#define E1000E_CTRL_EXT 0x00018
#define E1000E_CTRL_EXT_ERRATUM_ON RTE_BIT32(22) /* must be 1 */
#define E1000E_CTRL_EXT_ERRATUM_OFF RTE_BIT32(23) /* must be 0 */
#define E1000E_CTRL_EXT_IAME RTE_BIT32(27)
#define E1000E_CTRL_EXT_DRV_LOAD RTE_BIT32(28)
#define E1000E_CTRL_EXT_PBA_CLR RTE_BIT32(31)

/* Access to a register of the PHY. */
#define E1000E_MDIC 0x00020
#define E1000E_MDIC_REG(r) E1000E_FIELD(r, 16)
#define E1000E_MDIC_REG_OF(mdic) (((mdic) >> 16) & 0x1F)
#define E1000E_MDIC_PHY(a) E1000E_FIELD(a, 21)
#define E1000E_MDIC_WRITE RTE_BIT32(26)
#define E1000E_MDIC_READ RTE_BIT32(27)
#define E1000E_MDIC_READY RTE_BIT32(28)
#define E1000E_MDIC_ERROR RTE_BIT32(30)

/* Address, type and timer of the pause frames that the chip sends and obeys. */
#define E1000E_FCAL 0x00028
#define E1000E_FCAH 0x0002C
#define E1000E_FCT 0x00030
#define E1000E_FCTTV 0x00170 /* units of 512 bit times */

/* Writes a word of the NVM; fields as in EERD. */
#define E1000E_EEWR 0x0102C
#define E1000E_EEWR_DATA(value) E1000E_FIELD(value, 16)
#define E1000E_FLOP 0x0103C /* opcodes of the flash: bits 15:8, erase */
#define E1000E_FLOP_STM 0xDB00

#define E1000E_LEDCTL 0x00E00 /* a byte for each of three LEDs */
#define E1000E_LEDCTL_LEDS 3
#define E1000E_LEDCTL_MODE_ON 0xE
#define E1000E_LEDCTL_MODE_OFF 0xF
#define E1000E_LEDCTL_INVERT RTE_BIT32(6)

#define E1000E_EXTCNF_CTRL 0x00F00
#define E1000E_EXTCNF_CTRL_MDIO_SW RTE_BIT32(5) /* software owns the MDIO and the NVM */

#define E1000E_VET 0x00038
#define E1000E_PBA 0x01000 /* KiB of the packet buffer for reception */
/**@}*/

/** @name Wake-up, management and PCIe registers (10.2.8, 10.2.9, 10.2.11) */
/**@{*/
#define E1000E_WUC 0x05800
#define E1000E_MANC 0x05820
#define E1000E_MANC_BLOCK_PHY_RESET RTE_BIT32(18)
#define E1000E_HICR 0x08F00
#define E1000E_HICR_FW_RESET_ENABLE RTE_BIT32(6)
#define E1000E_HICR_FW_RESET RTE_BIT32(7)
#define E1000E_GCR 0x05B00
#define E1000E_GCR_ERRATUM_ON RTE_BIT32(22)
#define E1000E_GCR_L1_WITHOUT_L0S RTE_BIT32(27)
#define E1000E_GCR2 0x05B64
#define E1000E_GCR2_ERRATUM_ON RTE_BIT32(0)
/**@}*/

/** @name NVM words (6.1.1) */
/**@{*/
#define E1000E_NVM_MAC 0x00 /* three words */
#define E1000E_NVM_ID_LED 0x04 /* four bits for each LED */
#define E1000E_NVM_VERSION 0x05
#define E1000E_NVM_INIT2 0x0F
#define E1000E_NVM_INIT2_MANAGED 0x6000 /* firmware uses the link */
#define E1000E_NVM_CHECKSUM 0x3F
#define E1000E_NVM_SUM 0xBABA /* of the words up to the checksum */
/**@}*/

/** @name Registers of the PHY, at MDIO address 1 (10.3; IEEE 802.3, 22.2.4 and 40.5.1) */
/**@{*/
#define E1000E_PHY_ADDRESS 1
#define E1000E_PHY_BMCR 0
#define E1000E_BMCR_1000 0x0040
#define E1000E_BMCR_FD 0x0100
#define E1000E_BMCR_AN_RESTART 0x0200
#define E1000E_BMCR_PDOWN 0x0800
#define E1000E_BMCR_AN 0x1000
#define E1000E_BMCR_100 0x2000
#define E1000E_BMCR_RESET 0x8000
#define E1000E_PHY_BMSR 1
#define E1000E_BMSR_AN_DONE 0x0020
#define E1000E_PHY_ANAR 4 /* what is advertised */
#define E1000E_PHY_ANLPAR 5 /* what the link partner advertises, in the same bits */
#define E1000E_AN_10_HD 0x0020
#define E1000E_AN_10_FD 0x0040
#define E1000E_AN_100_HD 0x0080
#define E1000E_AN_100_FD 0x0100
#define E1000E_AN_PAUSE 0x0400
#define E1000E_AN_ASM_DIR 0x0800
#define E1000E_PHY_CTRL1000 9
#define E1000E_CTRL1000_HD 0x0100
#define E1000E_CTRL1000_FD 0x0200
#define E1000E_PHY_PAGED 16 /* registers from here on lie in pages */
#define E1000E_PHY_COPPER_CTRL 16
#define E1000E_COPPER_POLARITY_OFF 0x0002
#define E1000E_COPPER_AUTO_MDIX 0x0060
#define E1000E_COPPER_DOWNSHIFT 0x0800
#define E1000E_PHY_PAGE 22
#define E1000E_PHY_BIAS1 29
#define E1000E_PHY_BIAS2 30
/**@}*/

/** @name Interrupt registers (10.2.4; 7.4 describes how they work together) */
/**@{*/
#define E1000E_ICR 0x000C0
#define E1000E_ICS 0x000C8
#define E1000E_IMS 0x000D0
#define E1000E_IMC 0x000D8
#define E1000E_EIAC 0x000DC
#define E1000E_IAM 0x000E0
#define E1000E_IVAR 0x000E4
#define E1000E_EITR(v) (0x000E8 + 4 * (v)) /* v: vector, 0 to 4 */
#define E1000E_INTR_LSC RTE_BIT32(2)
#define E1000E_INTR_RXQ(q) RTE_BIT32(20 + (q))
#define E1000E_INTR_TXQ(q) RTE_BIT32(22 + (q))
#define E1000E_INTR_OTHER RTE_BIT32(24)
#define E1000E_IVAR_RXQ(q, v) E1000E_FIELD((v) | 8, 4 * (q)) /* 8: the entry is valid */
#define E1000E_IVAR_OTHER(v) E1000E_FIELD((v) | 8, 16)
#define E1000E_MSIX_VECTORS 5
/**@}*/

/** @name Receive registers (10.2.5); q: queue, 0 or 1 */
/**@{*/
#define E1000E_RCTL 0x00100
#define E1000E_RCTL_EN RTE_BIT32(1)
#define E1000E_RCTL_UPE RTE_BIT32(3)
#define E1000E_RCTL_MPE RTE_BIT32(4)
#define E1000E_RCTL_LPE RTE_BIT32(5)
#define E1000E_RCTL_BAM RTE_BIT32(15)
#define E1000E_RCTL_BSIZE_256 E1000E_FIELD(3, 16)
#define E1000E_RCTL_BSIZE_512 E1000E_FIELD(2, 16)
#define E1000E_RCTL_VFE RTE_BIT32(18)
#define E1000E_RCTL_PMCF RTE_BIT32(23) /* MAC control frames reach the host */
#define E1000E_RCTL_SECRC RTE_BIT32(26)
#define E1000E_RCTL_FLXBUF(kib) E1000E_FIELD(kib, 27) /* 1 to 15 KiB; overrides BSIZE */
#define E1000E_RCTL_FLXBUF_MAX 15

#define E1000E_FCRTL 0x02160
#define E1000E_FCRTL_XONE RTE_BIT32(31) /* sends XON at the low threshold */
#define E1000E_FCRTH 0x02168
#define E1000E_FCRT_MASK 0xFFF8 /* thresholds are multiples of 8 bytes */
#define E1000E_RDBAL(q) (0x02800 + 0x100 * (q))
#define E1000E_RDBAH(q) (0x02804 + 0x100 * (q))
#define E1000E_RDLEN(q) (0x02808 + 0x100 * (q))
#define E1000E_RDH(q) (0x02810 + 0x100 * (q))
#define E1000E_RDT(q) (0x02818 + 0x100 * (q))
#define E1000E_RDTR 0x02820
#define E1000E_RXDCTL(q) (0x02828 + 0x100 * (q))
#define E1000E_RADV 0x0282C
#define E1000E_DCTL_PTHRESH(n) E1000E_FIELD((n)&0x3F, 0)
#define E1000E_DCTL_HTHRESH(n) E1000E_FIELD((n)&0x3F, 8)
#define E1000E_DCTL_WTHRESH(n) E1000E_FIELD((n)&0x3F, 16)
#define E1000E_DCTL_GRAN RTE_BIT32(24) /* thresholds count descriptors, not cache lines */

#define E1000E_RXCSUM 0x05000
#define E1000E_RXCSUM_IPOFLD RTE_BIT32(8)
#define E1000E_RXCSUM_TUOFLD RTE_BIT32(9)
#define E1000E_RXCSUM_PCSD RTE_BIT32(13) /* the descriptor shows the RSS hash, not the checksum */
#define E1000E_RFCTL 0x05008
#define E1000E_RFCTL_ISCSI_DIS RTE_BIT32(0)
#define E1000E_RFCTL_NFSW_DIS RTE_BIT32(6)
#define E1000E_RFCTL_NFSR_DIS RTE_BIT32(7)
#define E1000E_RFCTL_ACK_DIS RTE_BIT32(12)
#define E1000E_RFCTL_EXSTEN RTE_BIT32(15) /* extended receive descriptors */
#define E1000E_MTA(i) (0x05200 + 4 * (i))
#define E1000E_MTA_WORDS 128
#define E1000E_RAL(i) (0x05400 + 8 * (i))
#define E1000E_RAH(i) (0x05404 + 8 * (i))
#define E1000E_RAH_AV RTE_BIT32(31)
#define E1000E_RAR_ENTRIES 16
#define E1000E_VFTA(i) (0x05600 + 4 * (i))
#define E1000E_VFTA_WORDS 128
#define E1000E_MRQC 0x05818
#define E1000E_MRQC_RSS E1000E_FIELD(1, 0)
#define E1000E_MRQC_TCPIPV4 RTE_BIT32(16)
#define E1000E_MRQC_IPV4 RTE_BIT32(17)
#define E1000E_MRQC_TCPIPV6 RTE_BIT32(18)
#define E1000E_MRQC_IPV6EX RTE_BIT32(19)
#define E1000E_MRQC_IPV6 RTE_BIT32(20)
#define E1000E_RETA(i) (0x05C00 + 4 * (i)) /* four entries of eight bits; bit 7 is the queue */
#define E1000E_RETA_ENTRIES 128
#define E1000E_RETA_QUEUE_SHIFT 7
#define E1000E_RSSRK(i) (0x05C80 + 4 * (i))
#define E1000E_RSSRK_LEN 40
/**@}*/

/** @name Transmit registers (10.2.6); q: queue, 0 or 1 */
/**@{*/
#define E1000E_TCTL 0x00400
#define E1000E_TCTL_EN RTE_BIT32(1)
#define E1000E_TCTL_PSP RTE_BIT32(3) /* short packets are padded */
#define E1000E_TCTL_CT(n) E1000E_FIELD(n, 4)
#define E1000E_TCTL_COLD(n) E1000E_FIELD(n, 12)
#define E1000E_TCTL_MULR RTE_BIT32(28)
#define E1000E_TIPG 0x00410
#define E1000E_TIPG_IPGT(n) E1000E_FIELD(n, 0)
#define E1000E_TIPG_IPGR1(n) E1000E_FIELD(n, 10)
#define E1000E_TIPG_IPGR2(n) E1000E_FIELD(n, 20)
#define E1000E_TDBAL(q) (0x03800 + 0x100 * (q))
#define E1000E_TDBAH(q) (0x03804 + 0x100 * (q))
#define E1000E_TDLEN(q) (0x03808 + 0x100 * (q))
#define E1000E_TDH(q) (0x03810 + 0x100 * (q))
#define E1000E_TDT(q) (0x03818 + 0x100 * (q))
#define E1000E_TIDV 0x03820
#define E1000E_TXDCTL(q) (0x03828 + 0x100 * (q))
#define E1000E_TXDCTL_ONE RTE_BIT32(22) /* the data sheet requires it */
#define E1000E_TADV 0x0382C
#define E1000E_TARC(q) (0x03840 + 0x100 * (q))
#define E1000E_TARC_COUNT(n) E1000E_FIELD(n, 0)
#define E1000E_TARC_COUNT_MASK 0x7F
#define E1000E_TARC_COMPENSATE RTE_BIT32(7)
#define E1000E_TARC_EN RTE_BIT32(10)
#define E1000E_TARC_TWO_QUEUES E1000E_FIELD(7, 23)
#define E1000E_TARC_ERRATUM_ON RTE_BIT32(26)
#define E1000E_TARC_ERRATUM_OFF E1000E_FIELD(0xF, 27)
/**@}*/

/** @name Sizes that follow from the above */
/**@{*/
#define E1000E_QUEUES 2
#define E1000E_DESC_LEN 16
#define E1000E_RING_ALIGN 128 /* of base and length: xDBAL, xDLEN (10.2.5, 10.2.6) */
#define E1000E_DESC_MULTIPLE (E1000E_RING_ALIGN / E1000E_DESC_LEN)
#define E1000E_MIN_DESC 32
#define E1000E_MAX_DESC 4096
#define E1000E_MAX_FRAME 9234 /* the largest frame with FCS ("9 KB jumbo frame support") */
#define E1000E_MAX_FRAME_NO_LPE 1522 /* with RCTL.LPE clear, with FCS (10.2.5) */
#define E1000E_MAX_TX_SEGS 60
#define E1000E_MIN_TX_LEN 17 /* bytes of a packet that TCTL.PSP can pad (10.2.6) */
/*
 * Limits of TCP segmentation. The data sheet of the 82583V, which has the same transmitter, gives
 * them: MSS "more than 0x10" (7.2.9.3.1), a header buffer of 240 bytes (7.3.6.2), PAYLEN of 20
 * bits.
 */
#define E1000E_TSO_MIN_MSS 17
#define E1000E_TSO_MAX_HDR 240
#define E1000E_TSO_MAX_PAYLEN 0xFFFFF
/**@}*/

/** An extended receive descriptor (7.1.4): written by software, then written back by hardware. */
union e1000e_rx_desc {
	struct {
		rte_le64_t addr;
		rte_le64_t zero; /**< clears the status: the descriptor is not done */
	} read;
	struct {
		rte_le32_t mrq; /**< bits 3:0: what the RSS hash is over, 0: none */
		union {
			rte_le32_t rss;
			struct {
				rte_le16_t ip_id;
				rte_le16_t checksum;
			} csum;
		};
		rte_le32_t status;
		rte_le16_t len;
		rte_le16_t vlan;
	} wb;
};
_Static_assert(sizeof(union e1000e_rx_desc) == E1000E_DESC_LEN, "7.1.4: 16 bytes");
_Static_assert(offsetof(union e1000e_rx_desc, wb.status) == 8, "7.1.4: status at byte 8");
_Static_assert(offsetof(union e1000e_rx_desc, wb.len) == 12, "7.1.4: length at byte 12");

/** @name Extended status and errors of a receive descriptor (7.1.4) */
/**@{*/
#define E1000E_RXD_DD RTE_BIT32(0)
#define E1000E_RXD_EOP RTE_BIT32(1)
#define E1000E_RXD_VP RTE_BIT32(3)
#define E1000E_RXD_UDPCS RTE_BIT32(4)
#define E1000E_RXD_L4CS RTE_BIT32(5)
#define E1000E_RXD_IPCS RTE_BIT32(6)
#define E1000E_RXD_PKT_TYPE_SHIFT 16
#define E1000E_RXD_L4E RTE_BIT32(29)
#define E1000E_RXD_IPE RTE_BIT32(30)
#define E1000E_RXD_RSS_TYPE 0xF /* of wb.mrq */
/**@}*/

/** A transmit descriptor: extended data, or context for checksums and segmentation (7.2). */
union e1000e_tx_desc {
	struct {
		rte_le64_t addr;
		rte_le32_t cmd; /**< length, type and commands */
		rte_le32_t status; /**< status, packet options, VLAN tag */
	} data;
	struct {
		uint8_t ipcss; /**< where the IP header starts */
		uint8_t ipcso; /**< where its checksum goes */
		rte_le16_t ipcse; /**< its last byte */
		uint8_t tucss; /**< where the TCP or UDP header starts */
		uint8_t tucso; /**< where its checksum goes */
		rte_le16_t tucse; /**< the last byte covered; 0: the end of the packet */
		rte_le32_t cmd; /**< bytes behind the headers (TSE), type and commands */
		uint8_t status;
		uint8_t hdr_len; /**< TSE: bytes of the headers */
		rte_le16_t mss; /**< TSE: bytes of a segment behind its headers */
	} ctx;
};
_Static_assert(sizeof(union e1000e_tx_desc) == E1000E_DESC_LEN, "7.2: 16 bytes");
_Static_assert(offsetof(union e1000e_tx_desc, data.cmd) == 8, "7.2: command at byte 8");
_Static_assert(offsetof(union e1000e_tx_desc, ctx.tucse) == 6, "7.2: TUCSE at byte 6");
_Static_assert(offsetof(union e1000e_tx_desc, ctx.hdr_len) == 13, "7.2: HDRLEN at byte 13");
_Static_assert(offsetof(union e1000e_tx_desc, ctx.mss) == 14, "7.2: MSS at byte 14");

/** @name Commands, status and options of a transmit descriptor (7.2) */
/**@{*/
#define E1000E_TXD_DTYP_DATA E1000E_FIELD(1, 20)
#define E1000E_TXD_EOP RTE_BIT32(24)
#define E1000E_TXD_IFCS RTE_BIT32(25)
#define E1000E_TXD_TSE RTE_BIT32(26) /* segmentation: in the context and in all its data */
#define E1000E_TXD_RS RTE_BIT32(27)
#define E1000E_TXD_DEXT RTE_BIT32(29)
#define E1000E_TXD_VLE RTE_BIT32(30)
#define E1000E_TXD_CTX_TCP RTE_BIT32(24)
#define E1000E_TXD_CTX_IPV4 RTE_BIT32(25)
#define E1000E_TXD_DD RTE_BIT32(0)
#define E1000E_TXD_IXSM RTE_BIT32(8)
#define E1000E_TXD_TXSM RTE_BIT32(9)
#define E1000E_TXD_VLAN(tci) E1000E_FIELD(tci, 16)
/**@}*/

#endif /* E1000E_REGS_H */
