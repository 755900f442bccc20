/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * VLAN tags: an XDP program sees the bytes of a frame only. A tag that the netdev or the sender has
 * moved to the packet's metadata is lost, and the frame arrives as an untagged one.
 *
 * While a port runs, its netdev leaves tags in the frames (the feature that ethtool(8) calls rxvlan
 * is off). What the netdev cannot change is logged, with the remedy. Called by af_xdp_ethdev.c at
 * start and stop.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>

#include "af_xdp.h"

/* Names of features (netdev_features_strings[], net/ethtool/common.c of Linux). */
static const char *const rx_features[] = {"rx-vlan-hw-parse", "rx-vlan-stag-hw-parse"};
static const char *const tx_features[] = {"tx-vlan-hw-insert", "tx-vlan-stag-hw-insert"};

/* Enough for 256 features; Linux 6.18 has fewer than 64. */
#define MAX_BLOCKS 8
#define GET_FEATURES_LEN                                                                           \
	(sizeof(struct ethtool_gfeatures) + MAX_BLOCKS * sizeof(struct ethtool_get_features_block))
#define SET_FEATURES_LEN                                                                           \
	(sizeof(struct ethtool_sfeatures) + MAX_BLOCKS * sizeof(struct ethtool_set_features_block))

static int
ethtool_call(const struct af_xdp_port *port, int ifindex, void *command)
{
	struct ifreq ifr = {.ifr_ifindex = ifindex};

	if (ioctl(port->control_fd, SIOCGIFNAME, &ifr) < 0)
		return -errno;
	ifr.ifr_data = command;
	return ioctl(port->control_fd, SIOCETHTOOL, &ifr) < 0 ? -errno : 0;
}

/* @return the number of a feature; -ENOENT: the kernel has none of this name; another error */
static int
feature_find(const struct af_xdp_port *port, int ifindex, const char *name)
{
	_Alignas(uint64_t)
		uint8_t memory[sizeof(struct ethtool_sset_info) + sizeof(uint32_t)] = {0};
	struct ethtool_sset_info *set = (void *)memory;
	struct ethtool_gstrings *names;
	uint32_t i = 0, count;
	int rc;

	set->cmd = ETHTOOL_GSSET_INFO;
	set->sset_mask = 1ULL << ETH_SS_FEATURES;
	rc = ethtool_call(port, ifindex, set);
	if (rc < 0)
		return rc;
	count = set->data[0];
	if (set->sset_mask == 0 || count > MAX_BLOCKS * 32)
		return -ENOENT;
	names = calloc(1, sizeof(*names) + (size_t)count * ETH_GSTRING_LEN);
	if (names == NULL)
		return -ENOMEM;
	names->cmd = ETHTOOL_GSTRINGS;
	names->string_set = ETH_SS_FEATURES;
	names->len = count;
	rc = ethtool_call(port, ifindex, names);
	while (rc == 0 && i < count &&
		strncmp((char *)names->data + (size_t)i * ETH_GSTRING_LEN, name, ETH_GSTRING_LEN) !=
			0)
		i++;
	free(names);
	if (rc < 0)
		return rc;
	return i < count ? (int)i : -ENOENT;
}

/* @return 1: on; 0: off, or unknown to this kernel or netdev */
static int
feature_is_on(const struct af_xdp_port *port, int ifindex, const char *name)
{
	_Alignas(uint64_t) uint8_t memory[GET_FEATURES_LEN] = {0};
	struct ethtool_gfeatures *get = (void *)memory;
	int i = feature_find(port, ifindex, name);

	get->cmd = ETHTOOL_GFEATURES;
	get->size = MAX_BLOCKS;
	if (i < 0 || ethtool_call(port, ifindex, get) < 0)
		return 0;
	return get->features[i / 32].active >> (i % 32) & 1;
}

static void
feature_set(const struct af_xdp_port *port, int ifindex, const char *name, bool on)
{
	_Alignas(uint64_t) uint8_t memory[SET_FEATURES_LEN];
	struct ethtool_sfeatures *set = (void *)memory;
	int i = feature_find(port, ifindex, name), n;

	if (i < 0)
		return;
	/* The kernel accepts exactly as many blocks as it has features for. */
	for (n = i / 32 + 1; n <= MAX_BLOCKS; n++) {
		memset(memory, 0, sizeof(memory));
		set->cmd = ETHTOOL_SFEATURES;
		set->size = n;
		set->features[i / 32].valid = 1U << (i % 32);
		set->features[i / 32].requested = on ? 1U << (i % 32) : 0;
		if (ethtool_call(port, ifindex, set) != -EINVAL)
			return;
	}
}

/* A veth has the frames as its peer's stack made them. */
static void
veth_check(const struct af_xdp_port *port)
{
	struct ifreq ifr = {.ifr_ifindex = port->kind.link};
	unsigned int i;

	if (port->kind.link_elsewhere || ioctl(port->control_fd, SIOCGIFNAME, &ifr) < 0) {
		AF_XDP_LOG(NOTICE, port->name,
			"the other end of %s is in another network namespace: frames of its VLANs"
			" lose their tags, unless there: ethtool -K DEV txvlan off"
			" tx-vlan-stag-hw-insert off",
			port->args.iface);
		return;
	}
	for (i = 0; i < RTE_DIM(tx_features); i++)
		if (feature_is_on(port, port->kind.link, tx_features[i])) {
			AF_XDP_LOG(WARNING, port->name,
				"frames of VLANs on %s, the other end of %s, lose their tags:"
				" ethtool -K %s txvlan off tx-vlan-stag-hw-insert off",
				ifr.ifr_name, port->args.iface, ifr.ifr_name);
			return;
		}
}

/*
 * Below these netdevs the kernel moves every tag to the metadata before they see the frame
 * (__netif_receive_skb_core() calls skb_vlan_untag() before an rx_handler).
 */
static bool
kind_is_stacked(const struct af_xdp_kind *kind)
{
	static const char *const stacked[] = {
		"bond", "bridge", "ipvlan", "ipvtap", "macvlan", "macvtap", "team"};
	unsigned int i;

	for (i = 0; i < RTE_DIM(stacked); i++)
		if (strcmp(kind->name, stacked[i]) == 0)
			return true;
	return false;
}

void
af_xdp_vlan_keep(struct af_xdp_port *port)
{
	unsigned int i;

	for (i = 0; i < RTE_DIM(rx_features); i++) {
		if (!feature_is_on(port, port->ifindex, rx_features[i]))
			continue;
		feature_set(port, port->ifindex, rx_features[i], false);
		if (!feature_is_on(port, port->ifindex, rx_features[i]))
			port->saved.rx_vlan |= 1U << i;
		else
			AF_XDP_LOG(WARNING, port->name,
				"%s strips VLAN tags, and %s cannot be switched off: tags are lost",
				port->args.iface, rx_features[i]);
	}
	if (strcmp(port->kind.name, "veth") == 0)
		veth_check(port);
	else if (kind_is_stacked(&port->kind))
		AF_XDP_LOG(WARNING, port->name,
			"VLAN tags are lost on %s, a %s: make ports of the netdevs below it",
			port->args.iface, port->kind.name);
}

void
af_xdp_vlan_restore(struct af_xdp_port *port)
{
	unsigned int i;

	for (i = 0; i < RTE_DIM(rx_features); i++)
		if (port->saved.rx_vlan & 1U << i)
			feature_set(port, port->ifindex, rx_features[i], true);
	port->saved.rx_vlan = 0;
}
