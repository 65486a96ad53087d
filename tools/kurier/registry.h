/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Which schema registry a verb asks. A tool that was built without kurier-registry has registry_none.c in its place,
 * which says so.
 */
#ifndef KURIER_TOOLS_REGISTRY_H
#define KURIER_TOOLS_REGISTRY_H

#include <kurier/registry.h>

#include "command.h"

/* --registry, --registry-properties, --registry-set */
extern const struct options registry_options;
/* --timeout, --allow-clear-text, --verbose, for verbs that need no Kafka */
extern const struct options registry_call_options;

/* Whether options or environment name one. */
bool registry_is_named(const struct invocation *call);

/* Connects to nothing yet. NULL, and said why; then `*status` tells how to end. Sets connection.timeout_ms. */
kur_registry *registry_open(struct invocation *call, bool normalizes, int *status);

#endif
