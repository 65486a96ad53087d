/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * `kurier dlq`: dead letters at the command line. Each verb is a dlq_verb in a file beside this one.
 */
#include "dlq.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "mask.h"
#include "text.h"

static const struct dlq_verb *const verbs[] = {&dlq_list,   &dlq_groups, &dlq_browse, &dlq_show,
                                               &dlq_export, &dlq_import, &dlq_discard};
enum {
    VERBS = sizeof verbs / sizeof *verbs
};

static const char filter_help[] =
    "Which letters (a name may end with * for all that begin so; times are 90s, 15m, 2h, 7d):\n"
    "  --cause NAME         what they died of\n"
    "  --type NAME          the type of the event\n"
    "  --group NAME         the consumers' group that failed\n"
    "  --origin TOPIC       where they came from\n"
    "  --older TIME         failed at least so long ago\n"
    "  --younger TIME       failed less than so long ago\n"
    "  --key KEY            this key\n"
    "  --partition N        of the dead letters' topic; --from OFFSET, --to OFFSET (the one behind the last)\n"
    "  --discarded          those too that were discarded\n"
    "\n";

static void help(void)
{
    printf("usage: kurier dlq VERB [ARGUMENT…] [OPTION…]\n"
           "       kurier dlq VERB --help\n"
           "\n"
           "Dead letters: records that a service has given up, in topics named *.dlq, *.dlq-SUFFIX and *-dlt.\n"
           "\n");
    for (size_t i = 0; i < VERBS; i++)
        printf("  %-8s %-34s %s\n", verbs[i]->name, verbs[i]->arguments, verbs[i]->summary);
    printf("\n"
           "What changes something is a dry run until --execute. Payload that looks like a secret is masked until "
           "--unmask.\n"
           "\n"
           "Exit status: 0 done, 1 failed, 2 done in part, 3 refused and nothing was done, 4 not known whether it was "
           "done.\n");
}

static void help_of(const struct dlq_verb *verb)
{
    printf("usage: kurier dlq %s %s [OPTION…]\n\n%s\n", verb->name, verb->arguments, verb->about);
    if ((verb->takes & DLQ_FILTER) != 0)
        printf("%s", filter_help);
    if ((verb->takes & DLQ_OUTPUT) != 0)
        printf("  -o FORMAT            table (default), json, or jsonl: an object a line\n");
    if ((verb->takes & DLQ_UNMASK) != 0)
        printf("  --unmask             payload as it is, with passwords, tokens and cards\n");
    printf("%s  --help               print this\n", connect_help);
}

/* ---- Options ---- */

static bool is_one(const char *argument, const char *name)
{
    return strcmp(argument, name) == 0;
}

static int need_value(const struct dlq *dlq, const char *name, const char *value)
{
    return value != NULL && value[0] != '\0' ? EXIT_DONE : command_refuse(dlq->noun, "%.40s needs a value", name);
}

static int read_by(struct dlq *dlq, const char *value)
{
    static const char *const names[] = {"cause", "type", "code", "group", "topic"};
    for (const char *at = value; at != NULL && *at != '\0';) {
        size_t size = strcspn(at, ","), i = 0;
        while (i < 5 && (strlen(names[i]) != size || strncmp(names[i], at, size) != 0))
            i++;
        if (i == 5)
            return command_refuse(dlq->noun, "--by takes cause, type, code, group and topic, with commas: \"%.60s\"",
                                  value);
        dlq->by |= 1U << i;
        at += size + (at[size] == ',');
    }
    return dlq->by != 0 ? EXIT_DONE : command_refuse(dlq->noun, "--by needs a value");
}

static int read_output(struct dlq *dlq, const char *value)
{
    static const char *const names[] = {"table", "json", "jsonl"};
    for (int i = 0; i < 3; i++)
        if (value != NULL && is_one(value, names[i])) {
            dlq->output = (enum output)i;
            return EXIT_DONE;
        }
    return command_refuse(dlq->noun, "-o takes table, json or jsonl");
}

/* Options whose values are texts, durations and numbers. */
static int read_filter(struct dlq *dlq, int argc, char **argv, int *index, bool *is_taken)
{
    kur_letter_filter *filter = &dlq->filter;
    const char *name = argv[*index], *value = NULL, *key = NULL;
    const struct {
        const char *name;
        const char **text;
        int64_t *duration, *number;
    } options[] = {{"--cause", &filter->cause, NULL, NULL},
                   {"--type", &filter->type, NULL, NULL},
                   {"--group", &filter->group, NULL, NULL},
                   {"--origin", &filter->origin, NULL, NULL},
                   {"--older", NULL, &filter->older_than_ms, NULL},
                   {"--younger", NULL, &filter->younger_than_ms, NULL},
                   {"--from", NULL, NULL, &filter->from_offset},
                   {"--to", NULL, NULL, &filter->to_offset},
                   {"--key", &key, NULL, NULL}};
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        if (!command_option(argc, argv, index, options[i].name, &value))
            continue;
        *is_taken = dlq->has_filter = true;
        if (options[i].text != NULL)
            *options[i].text = value;
        else if (options[i].duration != NULL && !text_read_duration(value, options[i].duration))
            return command_refuse(dlq->noun, "%s needs a time such as 90s, 15m, 2h or 7d", options[i].name);
        else if (options[i].number != NULL && !text_read_number(value, 0, INT64_MAX, options[i].number))
            return command_refuse(dlq->noun, "%s needs an offset", options[i].name);
        if (key != NULL)
            filter->key = kur_bytes_text(key);
        return value != NULL ? EXIT_DONE : need_value(dlq, name, value);
    }
    if (!command_option(argc, argv, index, "--partition", &value))
        return EXIT_DONE;
    int64_t number;
    *is_taken = dlq->has_filter = true;
    if (!text_read_number(value, 0, INT32_MAX - 1, &number))
        return command_refuse(dlq->noun, "--partition needs a number from 0 on");
    filter->partition = KUR_PARTITION((int32_t)number);
    return EXIT_DONE;
}

static int read_flag(struct dlq *dlq, unsigned takes, const char *argument, bool *is_taken)
{
    const struct {
        const char *name;
        unsigned takes;
        bool *flag;
    } flags[] = {{"--discarded", DLQ_FILTER, &dlq->with_discarded},
                 {"--unmask", DLQ_UNMASK, &dlq->unmask},
                 {"--execute", DLQ_EXECUTE, &dlq->execute},
                 {"--all", DLQ_DISCARD, &dlq->all},
                 {"--any-topic", DLQ_ANY, &dlq->any_topic}};
    for (size_t i = 0; i < sizeof flags / sizeof *flags && !*is_taken; i++)
        if ((takes & flags[i].takes) != 0 && is_one(argument, flags[i].name))
            *flags[i].flag = *is_taken = true;
    return EXIT_DONE;
}

static int read_rest(struct dlq *dlq, unsigned takes, int argc, char **argv, int *index, bool *is_taken)
{
    const char *name = argv[*index], *value = NULL;
    const struct {
        const char *name;
        unsigned takes;
        const char **text;
        int64_t *number;
    } options[] = {{"--file", DLQ_FILE, &dlq->file, NULL},    {"--reason", DLQ_DISCARD, &dlq->reason, NULL},
                   {"--who", DLQ_DISCARD, &dlq->who, NULL},   {"--expect", DLQ_DISCARD, NULL, &dlq->expect},
                   {"--limit", DLQ_LIMIT, NULL, &dlq->limit}, {"--max", DLQ_BY, NULL, &dlq->max}};
    *is_taken = true;
    if ((takes & DLQ_OUTPUT) != 0 && command_option(argc, argv, index, "-o", &value))
        return read_output(dlq, value);
    if ((takes & DLQ_BY) != 0 && command_option(argc, argv, index, "--by", &value))
        return read_by(dlq, value);
    if ((takes & DLQ_WARN) != 0 && command_option(argc, argv, index, "--warn", &value))
        return text_read_duration(value, &dlq->warn_ms) ? EXIT_DONE : command_refuse(dlq->noun, "--warn needs a time");
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        if ((takes & options[i].takes) == 0 || !command_option(argc, argv, index, options[i].name, &value))
            continue;
        if (options[i].text != NULL)
            *options[i].text = value;
        else if (!text_read_number(value, 0, INT64_MAX, options[i].number))
            return command_refuse(dlq->noun, "%s needs a number", options[i].name);
        return need_value(dlq, name, value);
    }
    *is_taken = false;
    return EXIT_DONE;
}

static int read_argument(struct dlq *dlq, const struct dlq_verb *verb, int argc, char **argv, int *index)
{
    int status = EXIT_DONE;
    bool is_taken = connect_option(dlq->noun, &dlq->connection, argc, argv, index, &status);
    if (!is_taken)
        status = read_flag(dlq, verb->takes, argv[*index], &is_taken);
    if (!is_taken && (verb->takes & DLQ_FILTER) != 0)
        status = read_filter(dlq, argc, argv, index, &is_taken);
    if (!is_taken)
        status = read_rest(dlq, verb->takes, argc, argv, index, &is_taken);
    if (is_taken)
        return status;
    const char *argument = argv[*index];
    if (argument[0] == '-' && argument[1] != '\0')
        return command_refuse(dlq->noun, "what is \"%.60s\"?", argument);
    if (dlq->argument_count == DLQ_ARGUMENTS_MAX)
        return command_refuse(dlq->noun, "more than %d arguments", DLQ_ARGUMENTS_MAX);
    dlq->arguments[dlq->argument_count++] = argument;
    return EXIT_DONE;
}

/* ---- Running ---- */

static int run_verb(const struct dlq_verb *verb, int argc, char **argv)
{
    static struct dlq dlq;
    char noun[32];
    snprintf(noun, sizeof noun, "dlq %s", verb->name);
    dlq = (struct dlq){
        .noun = noun, .filter = KUR_LETTER_FILTER(.cause = NULL), .limit = -1, .max = -1, .expect = -1, .warn_ms = -1};
    for (int i = 1; i < argc; i++) {
        if (is_one(argv[i], "--help") || is_one(argv[i], "-h")) {
            help_of(verb);
            return EXIT_DONE;
        }
        int status = read_argument(&dlq, verb, argc, argv, &i);
        if (status != EXIT_DONE)
            return status;
    }
    dlq.arena = kur_arena_new();
    text_need(dlq.arena != NULL ? KUR_OK : KUR_ERROR_NO_MEMORY);
    dlq.client = connect_client(noun, &dlq.connection);
    int status = dlq.client != NULL ? verb->run(&dlq) : EXIT_FAILED;
    kur_client_unref(dlq.client);
    kur_arena_free(dlq.arena);
    if (fflush(stdout) != 0 && status == EXIT_DONE)
        status = command_fail(noun, "not everything could be printed");
    return status;
}

static int run(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : NULL;
    if (name == NULL || is_one(name, "--help") || is_one(name, "-h") || is_one(name, "help")) {
        help();
        return name != NULL ? EXIT_DONE : EXIT_REFUSED;
    }
    for (size_t i = 0; i < VERBS; i++)
        if (is_one(verbs[i]->name, name))
            return run_verb(verbs[i], argc - 1, argv + 1);
    return command_refuse("dlq", "there is no verb \"%.40s\"", name);
}

const struct command dlq_command = {"dlq", "dead letters: what is there, why, and what to do with them", run};
