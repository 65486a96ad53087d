/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * `kurier dlq`: dead letters at the command line. Each verb is in a file beside this one.
 */
#include "dlq.h"

#include "text.h"
#include "where.h"

struct dlq dlq_state = {
    .filter = {.size = sizeof(kur_letter_filter)}, .limit = -1, .max = -1, .expect = -1, .warn_ms = -1};

/* ---- Which letters ---- */

static int read_key(struct invocation *call, const char *value)
{
    dlq_of(call)->filter.key = kur_bytes_text(value);
    return EXIT_DONE;
}

static int read_partition(struct invocation *call, const char *value)
{
    int64_t number;
    if (!text_read_number(value, 0, INT32_MAX - 1, &number))
        return command_refuse(call->noun, "--partition needs a number from 0 on");
    dlq_of(call)->filter.partition = KUR_PARTITION((int32_t)number);
    return EXIT_DONE;
}

static int read_where(struct invocation *call, const char *value)
{
    return where_read(call, value, &dlq_of(call)->filter.where);
}

#define IN_FILTER(kind, member) OPTION_IN(kind, struct dlq, filter.member), .given = offsetof(struct dlq, has_filter)

static const struct option filter_list[] = {
    {"--where", "FILTER", "a filter: 'cause ~ \"smtp.*\" and age < 2h'; see kurier(1)", .kind = OPTION_CALL,
     .read = read_where, .needs = "a filter", .given = offsetof(struct dlq, has_filter)},
    {"--cause", "NAME", "what they died of", IN_FILTER(TEXT, cause)},
    {"--type", "NAME", "the type of the event", IN_FILTER(TEXT, type)},
    {"--group", "NAME", "the consumers' group that failed", IN_FILTER(TEXT, group)},
    {"--origin", "TOPIC", "where they came from", IN_FILTER(TEXT, origin)},
    {"--older", "TIME", "failed at least so long ago", IN_FILTER(DURATION, older_than_ms)},
    {"--younger", "TIME", "failed less than so long ago", IN_FILTER(DURATION, younger_than_ms)},
    {"--key", "KEY", "this key", .kind = OPTION_CALL, .read = read_key, .given = offsetof(struct dlq, has_filter)},
    {"--partition", "N", "of the dead letters' topic", .kind = OPTION_CALL, .read = read_partition,
     .needs = "a number from 0 on", .given = offsetof(struct dlq, has_filter)},
    {"--from", "OFFSET", "there, from this one on", IN_FILTER(NUMBER, from_offset), .needs = "an offset"},
    {"--to", "OFFSET", "there, up to the one before this", IN_FILTER(NUMBER, to_offset), .needs = "an offset"},
    {"--discarded", NULL, "those too that were discarded", OPTION_IN(FLAG, struct dlq, with_discarded)},
    {.name = NULL}};
const struct options dlq_filter_options = {
    "Which letters (a name may end with * for all that begin so; times are 90s, 15m, 2h, 7d):", filter_list};

/* ---- The noun ---- */

static const struct verb *const verbs[] = {&dlq_list,   &dlq_groups, &dlq_browse,  &dlq_show,
                                           &dlq_export, &dlq_import, &dlq_discard, NULL};

const struct noun dlq_noun = {
    .name = "dlq",
    .summary = "dead letters: what is there, why, and what to do with them",
    .about = "Dead letters: records that a service has given up, in topics named *.dlq, *.dlq-SUFFIX and *-dlt. They "
             "are read without a group, from the oldest to the newest there is when the command starts. What changes "
             "something is a dry run until --execute. Payload that looks like a secret is masked until --unmask.",
    .verbs = verbs};
