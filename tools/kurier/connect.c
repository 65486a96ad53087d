/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * The options by which a verb finds Kafka, and the client that they give.
 */
#include <stdio.h>

#include "command.h"

enum {
    TIMEOUT_DEFAULT_S = 30,
    OWN_MAX = 4 /* properties of connect_client_with */
};

static int read_property(struct invocation *call, const char *value)
{
    struct connection *connection = &call->connection;
    char *text = (char *)(uintptr_t)value, *equals = strchr(text, '='); /* of argv, which is the program's */
    if (equals == NULL || equals == text)
        return command_refuse(call->noun, "--set needs NAME=VALUE");
    if (connection->property_count == PROPERTIES_MAX)
        return command_refuse(call->noun, "more than %d times --set", PROPERTIES_MAX);
    *equals = '\0';
    connection->properties[connection->property_count++] = (kur_property){text, equals + 1};
    return EXIT_DONE;
}

#define IN_CONNECTION(kind, member) OPTION_IN(kind, struct invocation, connection.member)

static const struct option list[] = {
    {"--bootstrap", "SERVERS", "host:port,host:port; default: the file's, or KAFKA_BOOTSTRAP_SERVERS",
     IN_CONNECTION(TEXT, bootstrap_servers)},
    {"--properties", "FILE", "a file with a `name = value` a line, as services read it",
     IN_CONNECTION(TEXT, properties_file), .words = "FILE"},
    {"--set", "NAME=VALUE",
     "one more property, over the file's; may be repeated. Passwords belong into a file: others see the command line",
     .kind = OPTION_CALL, .read = read_property, .needs = "NAME=VALUE"},
    {"--timeout", "SECONDS", "how long a broker is waited for; default 30", IN_CONNECTION(NUMBER, timeout_s),
     .least = 1, .most = 3600},
    {"--allow-clear-text", NULL, "log in by PLAIN or OAUTHBEARER even where everyone can read along",
     IN_CONNECTION(FLAG, allows_clear_text)},
    {"--verbose", NULL, "the library's own messages on standard error", IN_CONNECTION(FLAG, is_verbose)},
    {.name = NULL}};
const struct options connect_options = {.list = list};

/* Adds a property unless the command line has it. */
static void add(struct connection *connection, kur_property *properties, size_t *count, kur_property property)
{
    for (size_t i = 0; i < connection->property_count; i++)
        if (strcmp(connection->properties[i].name, property.name) == 0)
            return;
    properties[(*count)++] = property;
}

kur_client *connect_client_with(struct invocation *call, const kur_property *own)
{
    kur_error error = {0};
    struct connection *connection = &call->connection;
    kur_property properties[PROPERTIES_MAX + OWN_MAX + 1] = {{NULL, NULL}};
    size_t count = connection->property_count;
    memcpy(properties, connection->properties, count * sizeof *properties);
    for (size_t i = 0; i < OWN_MAX && own[i].name != NULL; i++)
        add(connection, properties, &count, own[i]);
    connection->timeout_ms = (int)(connection->timeout_s > 0 ? connection->timeout_s : TIMEOUT_DEFAULT_S) * 1000;
    kur_client *client = kur_client_new(
        &KUR_CLIENT_OPTIONS(.properties_file = connection->properties_file,
                            .bootstrap_servers = connection->bootstrap_servers, .properties = properties,
                            .log = connection->is_verbose ? kur_log_stderr : connection->log,
                            .security = &KUR_SECURITY_OPTIONS(.allow_clear_text = connection->allows_clear_text)),
        &error);
    if (client == NULL)
        command_error(call->noun, &error);
    return client;
}

kur_client *connect_client(struct invocation *call)
{
    static const kur_property none[] = {{NULL, NULL}};
    return connect_client_with(call, none);
}

kur_admin *connect_admin(const struct invocation *call)
{
    kur_error error = {0};
    kur_admin *admin = kur_admin_new(call->client, &error);
    if (admin == NULL)
        command_error(call->noun, &error);
    return admin;
}
