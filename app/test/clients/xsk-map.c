/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * What a device plugin does for a pod: attaches an XDP program to a netdev, and hands out its map
 * from queue to socket. End-to-end tests start it beside programs with ports of net_gantry_af_xdp.
 *
 *     xsk-map IFACE pin PATH      pins the map there, in a bpffs
 *     xsk-map IFACE serve PATH    hands it to one program, on a UNIX socket
 *
 * Everybody may use the pin and the socket. Says "ready", and then answers each line of its input
 * with what is so: "attached 1, entries 1". Ends with its input, and leaves the program on
 * the netdev.
 */

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <bpf/bpf.h>

#include "foreign_map.h"
#include "plugin_server.h"

#define N_ENTRIES 64

static int
hand_out(const char *how, const char *path)
{
	static struct plugin_answer answers[] = {
		{.text = "/host_ok"}, {.text = "0.1"}, {.text = "/fd_ack"}, {.text = "/fin_ack"}};
	int rc;

	if (strcmp(how, "pin") == 0) {
		rc = bpf_obj_pin(foreign.map_fd, path);
	} else {
		answers[2].n_fds = 1;
		answers[2].fd = foreign.map_fd;
		rc = plugin_server_start(path, answers, sizeof(answers) / sizeof(answers[0]));
	}
	return rc < 0 ? rc : chmod(path, 0666);
}

int
main(int argc, char **argv)
{
	char line[16];
	int rc;

	if (argc != 4 || (strcmp(argv[2], "pin") != 0 && strcmp(argv[2], "serve") != 0)) {
		fprintf(stderr, "usage: xsk-map IFACE pin|serve PATH\n");
		return 2;
	}
	rc = foreign_make(N_ENTRIES);
	if (rc == 0)
		rc = foreign_attach(argv[1]);
	if (rc == 0)
		rc = hand_out(argv[2], argv[3]);
	if (rc < 0) {
		fprintf(stderr, "xsk-map: %s: %s\n", argv[1], strerror(-rc));
		return 1;
	}
	printf("ready\n");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin) != NULL) {
		printf("attached %d, entries %d\n", foreign_is_attached(argv[1]),
			foreign_has_entry(0));
		fflush(stdout);
	}
	plugin_server_stop();
	foreign_drop();
	return 0;
}
