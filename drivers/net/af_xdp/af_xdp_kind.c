/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * What a netdev is: its kind, as `ip -d link` shows it, the netdev at its other end or below it,
 * and the NUMA node of its device.
 *
 * By rtnetlink(7) and ethtool: the files of /sys/class/net can be those of another network
 * namespace. Called by af_xdp_ethdev.c at probe and start.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <linux/ethtool.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <rte_memory.h>
#include <rte_string_fns.h>

#include "af_xdp.h"

#define ANSWER_LEN 16384

/* @return the attribute of this type, or NULL */
static struct rtattr *
attr_find(struct rtattr *attr, int len, unsigned short type)
{
	for (; RTA_OK(attr, len); attr = RTA_NEXT(attr, len))
		if ((attr->rta_type & NLA_TYPE_MASK) == type)
			return attr;
	return NULL;
}

static void
kind_read(struct nlmsghdr *msg, struct af_xdp_kind *kind)
{
	struct rtattr *first = IFLA_RTA(NLMSG_DATA(msg)), *info, *attr;
	int len = IFLA_PAYLOAD(msg);

	info = attr_find(first, len, IFLA_LINKINFO);
	if (info != NULL) {
		attr = attr_find(RTA_DATA(info), RTA_PAYLOAD(info), IFLA_INFO_KIND);
		if (attr != NULL)
			snprintf(kind->name, sizeof(kind->name), "%.*s", (int)RTA_PAYLOAD(attr),
				(char *)RTA_DATA(attr));
	}
	attr = attr_find(first, len, IFLA_LINK);
	if (attr != NULL)
		memcpy(&kind->link, RTA_DATA(attr), sizeof(kind->link));
	kind->link_elsewhere = attr_find(first, len, IFLA_LINK_NETNSID) != NULL;
}

int
af_xdp_kind_get(int ifindex, struct af_xdp_kind *kind)
{
	struct {
		struct nlmsghdr head;
		struct ifinfomsg info;
	} ask = {
		.head = {.nlmsg_len = sizeof(ask),
			.nlmsg_type = RTM_GETLINK,
			.nlmsg_flags = NLM_F_REQUEST},
		.info = {.ifi_index = ifindex},
	};
	union {
		struct nlmsghdr head;
		char data[ANSWER_LEN];
	} answer;
	ssize_t len = -1;
	int fd;

	*kind = (struct af_xdp_kind){0};
	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (fd < 0)
		return -errno;
	if (send(fd, &ask, sizeof(ask), 0) == (ssize_t)sizeof(ask))
		len = recv(fd, &answer, sizeof(answer), 0);
	close(fd);
	if (len < 0 || !NLMSG_OK(&answer.head, (size_t)len) ||
		answer.head.nlmsg_type != RTM_NEWLINK)
		return -EIO;
	kind_read(&answer.head, kind);
	return 0;
}

int
af_xdp_pci_numa_node(const char *sysfs, const char *address)
{
	char path[256];
	int node = SOCKET_ID_ANY;
	FILE *file;

	if (address[0] == '\0' || strchr(address, '/') != NULL)
		return SOCKET_ID_ANY;
	snprintf(path, sizeof(path), "%s/bus/pci/devices/%s/numa_node", sysfs, address);
	file = fopen(path, "re");
	if (file == NULL)
		return SOCKET_ID_ANY;
	if (fscanf(file, "%d", &node) != 1 || node < 0)
		node = SOCKET_ID_ANY;
	fclose(file);
	return node;
}

int
af_xdp_numa_node(const char *iface)
{
	struct ethtool_drvinfo info = {.cmd = ETHTOOL_GDRVINFO};
	struct ifreq ifr = {.ifr_data = (char *)&info};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0), rc;

	if (fd < 0)
		return SOCKET_ID_ANY;
	rte_strscpy(ifr.ifr_name, iface, sizeof(ifr.ifr_name));
	rc = ioctl(fd, SIOCETHTOOL, &ifr);
	close(fd);
	info.bus_info[sizeof(info.bus_info) - 1] = '\0';
	return rc < 0 ? SOCKET_ID_ANY : af_xdp_pci_numa_node("/sys", info.bus_info);
}
