/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * What the verbs of `kurier dlq` share: their options, the topics that are meant, and a reader over them.
 */
#ifndef KURIER_TOOLS_DLQ_H
#define KURIER_TOOLS_DLQ_H

#include "decode.h"
#include "progress.h"

struct dlq {
    struct invocation call;
    kur_letter_filter filter;
    bool has_filter, with_discarded, all, any_topic;
    const char *file, *reason, *who;
    const char *schema;                  /* show: of Avro that names none */
    int64_t limit, max, expect, warn_ms; /* -1: not given */
    unsigned by;
    struct progress progress;
    int64_t total;     /* letters that are to be written; 0: not known */
    bool is_finishing; /* everything was given to the writer */
};

extern struct dlq dlq_state;

/* The verbs' state is dlq_state. */
static inline struct dlq *dlq_of(struct invocation *call)
{
    return (struct dlq *)call;
}

/* Which letters are meant: --where, --cause … --to, --discarded */
extern const struct options dlq_filter_options;

extern const struct verb dlq_list, dlq_groups, dlq_browse, dlq_show, dlq_export, dlq_import, dlq_discard;

/*
 * The topics that are meant: the arguments, of which one may end with * for all that begin so; without any, all of dead
 * letters. EXIT_DONE, or it was said what is wrong. The array lives as long as the verb runs.
 */
int dlq_topics(struct dlq *dlq, const char *const **topics);

/* Whether a topic is among the arguments, or there are none. */
bool dlq_is_named(const char *topic, void *dlq);

/* A reader over them; NULL, and said why, in which case `*status` tells how to end. */
kur_letter_reader *dlq_read(struct dlq *dlq, const char *const *topics, int *status);

/* The next letter, NULL at the end; what went wrong is said, and told in `*status`. */
const kur_letter *dlq_next(struct dlq *dlq, kur_letter_reader *reader, int *status);

/* Ends reading: what was lost or unreadable is said and makes a result partial. */
int dlq_close(struct dlq *dlq, kur_letter_reader *reader, int status);

/* A writer; NULL, and said why. */
kur_letter_writer *dlq_writer(struct dlq *dlq);

/*
 * Waits for what it was given, frees it and says what was done: "12 letters written to orders.dlq". `status` is how it
 * went so far; returns how to end.
 */
int dlq_finish(struct dlq *dlq, kur_letter_writer *writer, int status, const char *done, const char *by);

/* What browse and show print of a letter for programs; show has the rest, and `decoded`. */
void dlq_letter_json(const struct dlq *dlq, kur_buffer *json, const kur_letter *letter, const struct decoded *decoded);

#endif
