/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Settings of a schema registry have the names that Confluent's clients give them, each also behind
 * "schema.registry.". The last that is set counts: environment, file, command line.
 */
#include "registry.h"

#include <stdio.h>
#include <stdlib.h>

#include "input.h"
#include "text.h"

enum {
    TIMEOUT_S = 30,
    FILE_MAX = 64 * 1024
};

/* ---- Options ---- */

static int read_setting(struct invocation *call, const char *value)
{
    struct registry_choice *choice = &call->registry;
    char *text = (char *)(uintptr_t)value, *equals = strchr(text, '='); /* of argv, which is the program's */
    if (equals == NULL || equals == text)
        return command_refuse(call->noun, "--registry-set needs NAME=VALUE");
    if (choice->property_count == REGISTRY_PROPERTIES_MAX)
        return command_refuse(call->noun, "more than %d times --registry-set", REGISTRY_PROPERTIES_MAX);
    *equals = '\0';
    choice->properties[choice->property_count++] = (kur_property){text, equals + 1};
    return EXIT_DONE;
}

#define IN_REGISTRY(kind, member) OPTION_IN(kind, struct invocation, registry.member)
#define IN_CONNECTION(kind, member) OPTION_IN(kind, struct invocation, connection.member)

static const struct option list[] = {
    {"--registry", "URLS",
     "http://host:8081, several of one registry with commas between; default: the file's, or KURIER_REGISTRY",
     IN_REGISTRY(TEXT, urls)},
    {"--registry-properties", "FILE",
     "a file with a `name = value` a line: url, basic.auth.user.info (user:password), bearer.auth.token, "
     "bearer.auth.logical.cluster, ssl.ca.location, ssl.certificate.location, ssl.key.location, ssl.key.password; "
     "default KURIER_REGISTRY_PROPERTIES",
     IN_REGISTRY(TEXT, properties_file), .words = "FILE"},
    {"--registry-set", "NAME=VALUE",
     "one more of those, over the file's; may be repeated. Passwords and tokens belong into the file, or into "
     "KURIER_REGISTRY_USER_INFO and KURIER_REGISTRY_TOKEN: others see the command line",
     .kind = OPTION_CALL, .read = read_setting, .needs = "NAME=VALUE"},
    {.name = NULL}};
const struct options registry_options = {.list = list};

static const struct option call_list[] = {
    {"--timeout", "SECONDS", "how long the registry is waited for, each time it is asked; default 30",
     IN_CONNECTION(NUMBER, timeout_s), .least = 1, .most = 3600},
    {"--allow-clear-text", NULL, "send passwords and tokens over http, where everyone can read along",
     IN_CONNECTION(FLAG, allows_clear_text)},
    {"--verbose", NULL, "the library's own messages on standard error", IN_CONNECTION(FLAG, is_verbose)},
    {.name = NULL}};
const struct options registry_call_options = {.list = call_list};

/* ---- Settings ---- */

static const char *from_environment(const char *name)
{
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

static const char *copy(const struct invocation *call, const char *text, size_t size)
{
    const char *made = kur_arena_copy(call->arena, text, size);
    text_need(made != NULL ? KUR_OK : KUR_ERROR_NO_MEMORY);
    return made;
}

/* "user:password" */
static bool set_user_info(const struct invocation *call, kur_registry_options *options, const char *value)
{
    const char *colon = strchr(value, ':');
    if (colon == NULL)
        return false;
    options->user = copy(call, value, (size_t)(colon - value));
    options->password = colon + 1;
    return true;
}

/* EXIT_DONE, or it was said what is wrong, without the value. `where`: "FILE:3: ", or "". */
static int set(const struct invocation *call, kur_registry_options *options, const char *where, const char *name,
               const char *value)
{
    static const char prefix[] = "schema.registry.";
    const struct {
        const char *name;
        const char **member;
    } known[] = {{"url", &options->urls},
                 {"bearer.auth.token", &options->token},
                 {"bearer.auth.logical.cluster", &options->cluster},
                 {"ssl.ca.location", &options->ca_file},
                 {"ssl.certificate.location", &options->certificate_file},
                 {"ssl.key.location", &options->key_file},
                 {"ssl.key.password", &options->key_password}};
    const char *plain = strncmp(name, prefix, sizeof prefix - 1) == 0 ? name + sizeof prefix - 1 : name;
    if (strcmp(plain, "basic.auth.user.info") == 0)
        return set_user_info(call, options, value)
                   ? EXIT_DONE
                   : command_refuse(call->noun, "%s%s is a user and a password with a colon between", where, name);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(plain, known[i].name) == 0) {
            *known[i].member = value;
            return EXIT_DONE;
        }
    return command_refuse(call->noun, "%s\"%.80s\" is no property of a schema registry", where, name);
}

/* Cuts blanks off both ends. */
static char *trim(char *text)
{
    text += strspn(text, " \t\r");
    size_t size = strlen(text);
    while (size > 0 && strchr(" \t\r", text[size - 1]) != NULL)
        size--;
    text[size] = '\0';
    return text;
}

static int set_line(const struct invocation *call, kur_registry_options *options, const char *where, char *line)
{
    char *name = trim(line), *equals = strchr(name, '=');
    if (name[0] == '\0' || name[0] == '#')
        return EXIT_DONE;
    if (equals == NULL || equals == name)
        return command_refuse(call->noun, "%sa line is `name = value`", where);
    *equals = '\0';
    return set(call, options, where, trim(name), trim(equals + 1));
}

static int set_file(const struct invocation *call, kur_registry_options *options, const char *path)
{
    kur_buffer text = {0};
    int status = input_read(call, path, FILE_MAX, &text);
    char *line = status == EXIT_DONE ? (char *)(uintptr_t)copy(call, text.data, text.size) : NULL;
    for (int number = 1; line != NULL && status == EXIT_DONE; number++) {
        char where[280], *end = strchr(line, '\n');
        snprintf(where, sizeof where, "%.250s:%d: ", path, number);
        if (end != NULL)
            *end = '\0';
        status = set_line(call, options, where, line);
        line = end != NULL ? end + 1 : NULL;
    }
    kur_buffer_done(&text);
    return status;
}

/* A log-in of the environment's counts where nothing else has one. */
static int set_environment(const struct invocation *call, kur_registry_options *options)
{
    const char *user_info = from_environment("KURIER_REGISTRY_USER_INFO");
    if (options->urls == NULL)
        options->urls = from_environment("KURIER_REGISTRY");
    if (options->user != NULL || options->token != NULL)
        return EXIT_DONE;
    options->token = from_environment("KURIER_REGISTRY_TOKEN");
    if (user_info == NULL)
        return EXIT_DONE;
    return set(call, options, "KURIER_REGISTRY_USER_INFO: ", "basic.auth.user.info", user_info);
}

static int collect(const struct invocation *call, kur_registry_options *options)
{
    const struct registry_choice *choice = &call->registry;
    const char *path =
        choice->properties_file != NULL ? choice->properties_file : from_environment("KURIER_REGISTRY_PROPERTIES");
    int status = path != NULL ? set_file(call, options, path) : EXIT_DONE;
    for (size_t i = 0; i < choice->property_count && status == EXIT_DONE; i++)
        status = set(call, options, "--registry-set: ", choice->properties[i].name, choice->properties[i].value);
    if (choice->urls != NULL)
        options->urls = choice->urls;
    return status == EXIT_DONE ? set_environment(call, options) : status;
}

/* ---- The registry ---- */

bool registry_is_named(const struct invocation *call)
{
    return call->registry.urls != NULL || call->registry.properties_file != NULL || call->registry.property_count > 0 ||
           from_environment("KURIER_REGISTRY") != NULL || from_environment("KURIER_REGISTRY_PROPERTIES") != NULL;
}

/* In the words of a command line. */
static int refuse(const struct invocation *call, const kur_error *error)
{
    static const char prefix[] = "kur_registry_options";
    const char *message = error->message;
    if (error->code == KUR_ERROR_UNSUPPORTED)
        return command_refuse(call->noun, "%s", message);
    if (strstr(message, ".allows_clear") != NULL)
        return command_refuse(call->noun, "the password or token would go over http, where everyone can read along: "
                                          "use https, or --allow-clear-text");
    if (strncmp(message, prefix, sizeof prefix - 1) == 0)
        message += sizeof prefix - 1;
    message += strspn(message, ".: ");
    return command_refuse(call->noun, "the schema registry: %s", message);
}

kur_registry *registry_open(struct invocation *call, bool normalizes, int *status)
{
    kur_error error = {0};
    struct connection *connection = &call->connection;
    kur_registry_options options =
        KUR_REGISTRY_OPTIONS(.retries = 1, .normalizes = normalizes, .allows_clear = connection->allows_clear_text,
                             .latest_ms = KUR_NONE);
    connection->timeout_ms = (int)(connection->timeout_s > 0 ? connection->timeout_s : TIMEOUT_S) * 1000;
    options.log = connection->is_verbose ? kur_log_stderr : NULL;
    *status = collect(call, &options);
    if (*status != EXIT_DONE)
        return NULL;
    if (options.urls == NULL) {
        *status = command_refuse(call->noun, "which schema registry? --registry or KURIER_REGISTRY says it");
        return NULL;
    }
    options.timeout_ms = connection->timeout_ms;
    kur_registry *registry = kur_registry_new(&options, &error);
    if (registry == NULL)
        *status = refuse(call, &error);
    return registry;
}
