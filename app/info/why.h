/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Internal interface of `gantry-info why`: checks, in the order in which they matter, up to the
 * first that fails. That one gives the verdict and the command that mends it.
 *
 * Invariant: a check fails only through why_fails(), so each failure has both. Called by why.c.
 */

#ifndef INFO_WHY_H
#define INFO_WHY_H

#include "info.h"

/** Files of a device that its backend needs. */
#define WHY_FILES 2

struct why {
	const struct info_host *host;
	const struct info_options *want;
	struct info_device dev;
	enum dmamap_backend backend; /**< chosen by why_driver() */
	/** Files, and the results of opening them; set by why_files(). */
	char files[WHY_FILES][INFO_NAME_MAX];
	int opened[WHY_FILES]; /**< 0; -errno */
	struct info_domain domain; /**< attached, once why_attach() has passed */
	char saw[INFO_TEXT_MAX]; /**< what the running check found */
	char verdict[INFO_TEXT_MAX], command[INFO_TEXT_MAX];
	json_t *notes;
};

/** @name why.c */
/**@{*/
/** What a check found. @return true */
bool why_passes(struct why *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/** The verdict; the command is w->command, which is set first. @return false */
bool why_fails(struct why *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void why_command(struct why *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/** Further advice, which is not the command. */
void why_note(struct why *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/**@}*/

/**
 * @name Checks
 * @return whether it passes
 */
/**@{*/
bool why_device(struct why *w);
bool why_iommu(struct why *w);
bool why_module(struct why *w);
bool why_driver(struct why *w);
bool why_group(struct why *w);
bool why_files(struct why *w);
bool why_permission(struct why *w);
bool why_cgroup(struct why *w);
bool why_busy(struct why *w);
bool why_memlock(struct why *w);
bool why_hugepages(struct why *w);
bool why_attach(struct why *w);
bool why_entries(struct why *w);
bool why_aperture(struct why *w);
bool why_reserved(struct why *w);
bool why_map(struct why *w);
/**@}*/

/** Verdict and command for processes that have one of these files open. @return false */
bool why_held(struct why *w, const char *const *files, unsigned int n);

#endif /* INFO_WHY_H */
