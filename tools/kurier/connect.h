/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * The options by which a noun finds Kafka, and the client that they give.
 */
#ifndef KURIER_TOOLS_CONNECT_H
#define KURIER_TOOLS_CONNECT_H

#include "command.h"

enum {
    CONNECT_PROPERTIES_MAX = 128
};

struct connection {
    const char *properties_file, *bootstrap_servers;
    kur_property properties[CONNECT_PROPERTIES_MAX + 2];
    size_t property_count;
    int timeout_ms;
    bool allows_clear_text, is_verbose;
};

/* What their help says, a line for each. */
extern const char connect_help[];

/*
 * Takes an option of theirs off argv[*index]; true when it is one. `*status` then tells whether it is right;
 * EXIT_REFUSED has been explained.
 */
bool connect_option(const char *noun, struct connection *connection, int argc, char **argv, int *index, int *status);

/* NULL, and said why. */
kur_client *connect_client(const char *noun, struct connection *connection);

#endif
