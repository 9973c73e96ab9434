/* SPDX-License-Identifier: Apache-2.0 */
/* A shared object that is no runner. */
int tg_test_nothing;
