/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Reads a command line by the tables, and runs the verb.
 */
#include "command.h"

#include <kurier/sys/text.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "help.h"
#include "text.h"

/* ---- Messages ---- */

static struct {
    pthread_mutex_t mutex; /* guards all of it */
    bool is_on;
    char last[400];
} kept = {.mutex = PTHREAD_MUTEX_INITIALIZER};

void command_keep_messages(void)
{
    pthread_mutex_lock(&kept.mutex);
    kept.is_on = true;
    pthread_mutex_unlock(&kept.mutex);
}

void command_take_message(char *text, size_t size)
{
    pthread_mutex_lock(&kept.mutex);
    snprintf(text, size, "%s", kept.last);
    kept.last[0] = '\0';
    pthread_mutex_unlock(&kept.mutex);
}

/* Whether it was kept. */
static bool keep(const char *format, va_list arguments)
{
    pthread_mutex_lock(&kept.mutex);
    bool is_on = kept.is_on;
    if (is_on)
        vsnprintf(kept.last, sizeof kept.last, format, arguments);
    pthread_mutex_unlock(&kept.mutex);
    return is_on;
}

static void complain(const char *noun, const char *format, va_list arguments)
{
    if (keep(format, arguments))
        return;
    fprintf(stderr, "kurier%s%s: ", noun != NULL ? " " : "", noun != NULL ? noun : "");
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
}

int command_refuse(const char *noun, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    complain(noun, format, arguments);
    va_end(arguments);
    fprintf(stderr, "See kurier%s%s --help.\n", noun != NULL ? " " : "", noun != NULL ? noun : "");
    return EXIT_REFUSED;
}

int command_fail(const char *noun, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    complain(noun, format, arguments);
    va_end(arguments);
    return EXIT_FAILED;
}

int command_error(const char *noun, const kur_error *error)
{
    command_fail(noun, "%s", error->message);
    return error->code == KUR_ERROR_UNSUPPORTED ? EXIT_REFUSED : EXIT_FAILED;
}

void command_note(const char *noun, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    complain(noun, format, arguments);
    va_end(arguments);
}

/* ---- Options that many verbs take ---- */

static int read_output(struct invocation *call, const char *value)
{
    static const char *const names[] = {"table", "json", "jsonl"};
    for (int i = 0; i < 3; i++)
        if (strcmp(value, names[i]) == 0) {
            call->output = (enum output)i;
            return EXIT_DONE;
        }
    return command_refuse(call->noun, "-o takes table, json or jsonl");
}

static const struct option output_list[] = {{"-o", "FORMAT", "table (default), json, or jsonl: an object a line",
                                             .kind = OPTION_CALL, .read = read_output, .needs = "table, json or jsonl",
                                             .words = "table json jsonl"},
                                            {.name = NULL}};
const struct options output_options = {.list = output_list};

static const struct option execute_list[] = {{"--execute", NULL, "do it; without it is only told what would be done",
                                              OPTION_IN(FLAG, struct invocation, execute)},
                                             {.name = NULL}};
const struct options execute_options = {.list = execute_list};

static const struct option unmask_list[] = {{"--unmask", NULL, "payload as it is, with passwords, tokens and cards",
                                             OPTION_IN(FLAG, struct invocation, unmask)},
                                            {.name = NULL}};
const struct options unmask_options = {.list = unmask_list};

/* ---- Reading ---- */

/* Whether an argument is this option; `*value` is what stands behind its =, or NULL. */
static bool is_option(const char *argument, const char *name, const char **value)
{
    size_t size = strlen(name);
    if (strncmp(argument, name, size) != 0 || (argument[size] != '\0' && argument[size] != '='))
        return false;
    *value = argument[size] == '=' ? argument + size + 1 : NULL;
    return true;
}

static const struct option *find_option(const struct verb *verb, const char *argument, const char **value)
{
    for (size_t i = 0; i < OPTION_SETS_MAX && verb->options[i] != NULL; i++)
        for (const struct option *option = verb->options[i]->list; option->name != NULL; option++)
            if (is_option(argument, option->name, value))
                return option;
    return NULL;
}

static int refuse_value(const struct invocation *call, const struct option *option)
{
    if (option->needs != NULL)
        return command_refuse(call->noun, "%s needs %s", option->name, option->needs);
    if (option->kind == OPTION_DURATION)
        return command_refuse(call->noun, "%s needs a time such as 90s, 15m, 2h or 7d", option->name);
    if (option->kind == OPTION_NUMBER && option->most > 0)
        return command_refuse(call->noun, "%s needs a number from %lld to %lld", option->name, (long long)option->least,
                              (long long)option->most);
    return command_refuse(call->noun, "%s needs %s", option->name,
                          option->kind == OPTION_NUMBER ? "a number" : "a value");
}

/* Where the option goes to. */
static void *member_of(struct invocation *call, size_t offset)
{
    return (char *)call + offset;
}

static int take_value(struct invocation *call, const struct option *option, const char *value)
{
    void *member = member_of(call, option->offset);
    if (value == NULL || value[0] == '\0')
        return refuse_value(call, option);
    if (option->given != 0)
        *(bool *)member_of(call, option->given) = true;
    switch (option->kind) {
    case OPTION_TEXT:
        *(const char **)member = value;
        return EXIT_DONE;
    case OPTION_NUMBER:
        return text_read_number(value, option->least, option->most > 0 ? option->most : INT64_MAX, member)
                   ? EXIT_DONE
                   : refuse_value(call, option);
    case OPTION_DURATION:
        return text_read_duration(value, member) ? EXIT_DONE : refuse_value(call, option);
    case OPTION_FLAG:
    case OPTION_CALL:
        break;
    }
    return option->read(call, value);
}

static int take_option(struct invocation *call, int argc, char **argv, int *index)
{
    const char *value = NULL;
    const struct option *option = find_option(call->verb, argv[*index], &value);
    if (option == NULL)
        return command_refuse(call->noun, "what is \"%.60s\"?", argv[*index]);
    if (option->value != NULL)
        return take_value(call, option, value != NULL || *index + 1 == argc ? value : argv[++*index]);
    if (value != NULL)
        return command_refuse(call->noun, "%s takes no value", option->name);
    *(bool *)member_of(call, option->offset) = true;
    return EXIT_DONE;
}

static int take_argument(struct invocation *call, const char *argument)
{
    if (call->verb->arguments == NULL)
        return command_refuse(call->noun, "what is \"%.60s\"?", argument);
    if (call->argument_count == ARGUMENTS_MAX)
        return command_refuse(call->noun, "more than %d arguments", ARGUMENTS_MAX);
    call->arguments[call->argument_count++] = argument;
    return EXIT_DONE;
}

static bool asks_for_help(const char *argument)
{
    return strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0;
}

/* ---- Running ---- */

static int run_in_arena(struct invocation *call)
{
    call->arena = kur_arena_new();
    text_need(call->arena != NULL ? KUR_OK : KUR_ERROR_NO_MEMORY);
    if (call->verb->needs_client)
        call->client = connect_client(call);
    int status = call->client != NULL || !call->verb->needs_client ? call->verb->run(call) : EXIT_FAILED;
    kur_client_unref(call->client);
    kur_arena_free(call->arena);
    return status;
}

static int run_verb(const struct noun *noun, const struct verb *verb, int argc, char **argv)
{
    struct invocation *call = verb->state;
    char name[48];
    bool has_options = true;
    snprintf(name, sizeof name, "%s%s%s", noun->name, verb->name != NULL ? " " : "",
             verb->name != NULL ? verb->name : "");
    call->noun = name;
    call->verb = verb;
    for (int i = 0; i < argc; i++)
        if (asks_for_help(argv[i])) {
            help_verb(noun, verb);
            return EXIT_DONE;
        }
    for (int i = 0; i < argc; i++) {
        int status = EXIT_DONE;
        if (has_options && strcmp(argv[i], "--") == 0)
            has_options = false;
        else if (has_options && argv[i][0] == '-' && argv[i][1] != '\0')
            status = take_option(call, argc, argv, &i);
        else
            status = take_argument(call, argv[i]);
        if (status != EXIT_DONE)
            return status;
    }
    int status = run_in_arena(call);
    if (fflush(stdout) != 0 && status == EXIT_DONE)
        status = command_fail(name, "not everything could be printed");
    return status;
}

int command_run(const struct noun *noun, int argc, char **argv)
{
    const char *name = argc > 0 ? argv[0] : NULL;
    if (noun->verbs[0]->name == NULL)
        return run_verb(noun, noun->verbs[0], argc, argv);
    if (name == NULL || asks_for_help(name) || strcmp(name, "help") == 0) {
        help_noun(noun);
        return name != NULL ? EXIT_DONE : EXIT_REFUSED;
    }
    for (size_t i = 0; noun->verbs[i] != NULL; i++)
        if (strcmp(noun->verbs[i]->name, name) == 0)
            return run_verb(noun, noun->verbs[i], argc - 1, argv + 1);
    return command_refuse(noun->name, "there is no verb \"%.40s\"", name);
}

bool command_is_named(const struct invocation *call, const char *name)
{
    for (size_t i = 0; i < call->argument_count; i++)
        if (kur_text_fits(name, call->arguments[i]))
            return true;
    return call->argument_count == 0;
}

const char *command_who(const char *given, char text[COMMAND_WHO_SIZE])
{
    char host[128] = "";
    const char *user = getenv("USER");
    if (given != NULL)
        return given;
    gethostname(host, sizeof host - 1);
    snprintf(text, COMMAND_WHO_SIZE, "%.100s@%s", user != NULL && user[0] != '\0' ? user : "unknown", host);
    return text;
}
