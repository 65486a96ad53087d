/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * --where: a filter (<kurier/filter.h>) on a command line.
 */
#ifndef KURIER_TOOLS_WHERE_H
#define KURIER_TOOLS_WHERE_H

#include "command.h"

/* Reads it; what is wrong is said, with a caret under the place. `*where` stays until the program ends. */
int where_read(struct invocation *call, const char *value, const kur_filter **where);

#endif
