/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * --help on every level, from the tables.
 */
#ifndef KURIER_TOOLS_HELP_H
#define KURIER_TOOLS_HELP_H

#include "command.h"

extern const char help_status[]; /* what exit statuses mean, in a sentence */

void help_all(void);
void help_noun(const struct noun *noun);
void help_verb(const struct noun *noun, const struct verb *verb);

/* Whether an option is hidden by one of the same name in an earlier set of the verb. */
bool help_is_hidden(const struct verb *verb, size_t set, const struct option *option);

#endif
