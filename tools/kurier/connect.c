/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include "connect.h"

#include <stdio.h>
#include <stdlib.h>

const char connect_help[] =
    "  --bootstrap SERVERS  host:port,host:port; default: the file's, or KAFKA_BOOTSTRAP_SERVERS\n"
    "  --properties FILE    a file with a `name = value` a line, as services read it\n"
    "  --set NAME=VALUE     one more property, over the file's; may be repeated. Passwords belong into a file\n"
    "  --timeout SECONDS    how long a broker is waited for; default 30\n"
    "  --allow-clear-text   log in by PLAIN or OAUTHBEARER even where everyone can read along\n"
    "  --verbose            the library's own messages on standard error\n";

static int read_property(const char *noun, struct connection *connection, char *text)
{
    char *equals = text != NULL ? strchr(text, '=') : NULL;
    if (equals == NULL || equals == text)
        return command_refuse(noun, "--set needs NAME=VALUE");
    if (connection->property_count == CONNECT_PROPERTIES_MAX)
        return command_refuse(noun, "more than %d times --set", CONNECT_PROPERTIES_MAX);
    *equals = '\0';
    connection->properties[connection->property_count++] = (kur_property){text, equals + 1};
    return EXIT_DONE;
}

static int read_timeout(const char *noun, struct connection *connection, const char *value)
{
    char *end = NULL;
    long seconds = value != NULL ? strtol(value, &end, 10) : 0;
    if (value == NULL || *end != '\0' || seconds < 1 || seconds > 3600)
        return command_refuse(noun, "--timeout needs a number of seconds from 1 to 3600");
    connection->timeout_ms = (int)seconds * 1000;
    return EXIT_DONE;
}

bool connect_option(const char *noun, struct connection *connection, int argc, char **argv, int *index, int *status)
{
    const char *value = NULL, *name = argv[*index];
    *status = EXIT_DONE;
    if (strcmp(name, "--allow-clear-text") == 0) {
        connection->allows_clear_text = true;
        return true;
    }
    if (strcmp(name, "--verbose") == 0) {
        connection->is_verbose = true;
        return true;
    }
    if (command_option(argc, argv, index, "--timeout", &value)) {
        *status = read_timeout(noun, connection, value);
        return true;
    }
    if (command_option(argc, argv, index, "--set", &value)) {
        *status = read_property(noun, connection, (char *)(uintptr_t)value);
        return true;
    }
    if (command_option(argc, argv, index, "--bootstrap", &value))
        connection->bootstrap_servers = value;
    else if (command_option(argc, argv, index, "--properties", &value))
        connection->properties_file = value;
    else
        return false;
    if (value == NULL || value[0] == '\0')
        *status = command_refuse(noun, "%.40s needs a value", name);
    return true;
}

/* Records are brought back as large as they were: what is too large is for the broker to say. */
static void add_size(struct connection *connection)
{
    for (size_t i = 0; i < connection->property_count; i++)
        if (strcmp(connection->properties[i].name, "message.max.bytes") == 0)
            return;
    connection->properties[connection->property_count] = (kur_property){"message.max.bytes", "1000000000"};
    connection->properties[connection->property_count + 1] = (kur_property){NULL, NULL};
}

kur_client *connect_client(const char *noun, struct connection *connection)
{
    kur_error error = {0};
    if (connection->timeout_ms == 0)
        connection->timeout_ms = 30000;
    add_size(connection);
    kur_client *client = kur_client_new(
        &KUR_CLIENT_OPTIONS(.properties_file = connection->properties_file,
                            .bootstrap_servers = connection->bootstrap_servers, .properties = connection->properties,
                            .log = connection->is_verbose ? kur_log_stderr : NULL,
                            .security = &KUR_SECURITY_OPTIONS(.allow_clear_text = connection->allows_clear_text)),
        &error);
    if (client == NULL)
        command_fail(noun, "%s", error.message);
    return client;
}
