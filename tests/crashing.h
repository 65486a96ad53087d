/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * The crash points of the listener (patterns/listener/crash.h), in the copy of it that is compiled with them: the
 * environment's KURIER_CRASH_AT=NAME:N ends the process by SIGKILL at its Nth pass of the point of that name, and
 * KURIER_FREEZE_AT=NAME:N stops it there by SIGSTOP.
 */
#ifndef KURIER_TESTS_CRASHING_H
#define KURIER_TESTS_CRASHING_H

/* Called at each pass, before the process ends there; set before a listener starts. */
extern void (*crashing_on_pass)(const char *point);

#endif
