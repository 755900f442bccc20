/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The callback for vector 0: link changes and errors. It runs on the EAL's interrupt thread.
 *
 * A port may stop, close and be removed by the application's callback, or by another thread while
 * that callback waits for it. So the application's callbacks are never waited for. The driver's
 * callback has an object of its own, and does not use the port once it has called the application.
 * Called by e1000e_ethdev.c at start and stop.
 */

#include <errno.h>
#include <stdlib.h>

#include <rte_interrupts.h>
#include <rte_pause.h>

#include "e1000e.h"

struct e1000e_intr {
	struct rte_eth_dev *eth;
	bool in_app; /* the application's callbacks run: the port may be gone */
};

/* Read and clear the causes. @return the event for the application; MAX: none */
static enum rte_eth_event_type
intr_handle(struct rte_eth_dev *eth)
{
	struct e1000e_port *port = eth->data->dev_private;
	uint32_t icr = e1000e_read(&port->hw, E1000E_ICR);
	bool changed = false;

	if (icr == UINT32_MAX)
		return RTE_ETH_EVENT_INTR_RMV;
	/* 7.4: with MSI-X, writing ones clears causes. The queues have vectors of their own. */
	icr &= E1000E_INTR_LSC | E1000E_INTR_OTHER;
	e1000e_write(&port->hw, E1000E_ICR, icr);
	if (icr & E1000E_INTR_LSC) {
		e1000e_link_changed(port);
		changed = e1000e_link_update(eth, 0) == 0;
	}
	e1000e_write(&port->hw, E1000E_IMS, E1000E_INTR_LSC | E1000E_INTR_OTHER);
	return changed ? RTE_ETH_EVENT_INTR_LSC : RTE_ETH_EVENT_MAX;
}

static void
intr_cb(void *arg)
{
	struct e1000e_intr *intr = arg;
	enum rte_eth_event_type event = intr_handle(intr->eth);

	if (event == RTE_ETH_EVENT_MAX)
		return;
	__atomic_store_n(&intr->in_app, true, __ATOMIC_RELEASE);
	/* The ethdev slot is static, and the EAL frees intr only after this call. */
	rte_eth_dev_callback_process(intr->eth, event, NULL);
	__atomic_store_n(&intr->in_app, false, __ATOMIC_RELEASE);
}

/* The EAL calls this when the last run of the callback has returned. */
static void
intr_free(struct rte_intr_handle *handle, void *arg)
{
	RTE_SET_USED(handle);
	free(arg);
}

int
e1000e_intr_register(struct rte_eth_dev *eth)
{
	struct e1000e_port *port = eth->data->dev_private;
	struct e1000e_intr *intr = calloc(1, sizeof(*intr));
	int rc;

	if (intr == NULL)
		return -ENOMEM;
	intr->eth = eth;
	rc = rte_intr_callback_register(eth->intr_handle, intr_cb, intr);
	if (rc < 0) {
		free(intr);
		return rc;
	}
	port->intr = intr;
	return 0;
}

void
e1000e_intr_unregister(struct rte_eth_dev *eth)
{
	struct e1000e_port *port = eth->data->dev_private;
	struct e1000e_intr *intr = port->intr;
	int rc;

	port->intr = NULL;
	/*
	 * -EAGAIN: the interrupt thread is at this vector. It either runs the application's
	 * callbacks, and the EAL removes this one after them; or it reads the eventfd, which must
	 * stay open for that moment, or runs the code of this file, and both are short.
	 */
	while ((rc = rte_intr_callback_unregister(eth->intr_handle, intr_cb, intr)) == -EAGAIN) {
		if (__atomic_load_n(&intr->in_app, __ATOMIC_ACQUIRE) &&
			rte_intr_callback_unregister_pending(
				eth->intr_handle, intr_cb, intr, intr_free) > 0)
			return;
		rte_pause();
	}
	free(intr);
}
