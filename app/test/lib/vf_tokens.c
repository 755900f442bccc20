/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * See vf_tokens.h.
 */

#include <errno.h>

#include "test.h"
#include "vf_tokens.h"

int
vf_tokens_check(const struct vf_token_plugs *plugs, const char *pf, const char *vf)
{
	TEST_ASSERT_SUCCESS(plugs->plug(pf, TOKEN_A), "the PF sets a token");
	TEST_ASSERT_EQUAL(plugs->plug(vf, ""), -EACCES, "a VF without the token");
	TEST_ASSERT_EQUAL(plugs->plug(vf, TOKEN_B), -EACCES, "a VF with another token");
	TEST_ASSERT_SUCCESS(plugs->plug(vf, TOKEN_A_CAPITALS), "a VF with the token");

	/* While the VF is in use, only who knows the token opens the PF. */
	TEST_ASSERT_SUCCESS(plugs->unplug(pf), "remove the PF");
	TEST_ASSERT_EQUAL(plugs->plug(pf, ""), -EACCES, "the PF without the token");
	TEST_ASSERT_EQUAL(plugs->plug(pf, TOKEN_B), -EACCES, "the PF with another token");
	TEST_ASSERT_SUCCESS(plugs->plug(pf, TOKEN_A), "the PF with the token");

	/* Afterwards the PF sets another. */
	TEST_ASSERT_SUCCESS(plugs->unplug(vf), "remove the VF");
	TEST_ASSERT_SUCCESS(plugs->unplug(pf), "remove the PF");
	TEST_ASSERT_SUCCESS(plugs->plug(pf, TOKEN_B), "the PF with another token");
	TEST_ASSERT_EQUAL(plugs->plug(vf, TOKEN_A), -EACCES, "a VF with the former token");
	TEST_ASSERT_SUCCESS(plugs->plug(vf, TOKEN_B), "a VF with the new token");
	TEST_ASSERT_SUCCESS(plugs->unplug(vf), "remove the VF");
	TEST_ASSERT_SUCCESS(plugs->unplug(pf), "remove the PF");
	return 0;
}

int
vf_tokens_check_none(const struct vf_token_plugs *plugs, const char *pf, const char *vf)
{
	TEST_ASSERT_SUCCESS(plugs->plug(pf, TOKEN_A), "a token for the PF");
	TEST_ASSERT_SUCCESS(plugs->plug(vf, ""), "a VF without the token");
	TEST_ASSERT_SUCCESS(plugs->unplug(vf), "remove the VF");
	TEST_ASSERT_SUCCESS(plugs->plug(vf, TOKEN_B), "a VF with another token");
	TEST_ASSERT_SUCCESS(plugs->unplug(pf), "remove the PF");
	TEST_ASSERT_SUCCESS(plugs->plug(pf, ""), "the PF without a token");
	TEST_ASSERT_SUCCESS(plugs->unplug(vf), "remove the VF");
	TEST_ASSERT_SUCCESS(plugs->unplug(pf), "remove the PF");
	return 0;
}
