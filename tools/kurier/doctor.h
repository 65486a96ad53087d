/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * What the files of `kurier doctor` share.
 */
#ifndef KURIER_TOOLS_DOCTOR_H
#define KURIER_TOOLS_DOCTOR_H

#include "command.h"

enum {
    DOCTOR_TOPICS_MAX = 64
};

/* How it ends, beside those of all nouns. */
enum {
    EXIT_CONFIGURATION = 4,
    EXIT_NETWORK = 5,
    EXIT_LOG_IN = 6,
    EXIT_TOPIC = 7
};

struct examination {
    struct invocation call;
    const char *group;
    const char *topics[DOCTOR_TOPICS_MAX];
    size_t topic_count;
    int timeout_ms;
    bool shows_all;
    int status; /* of the first step that failed */
};

/* Findings; of one that is ill, `advice` says what to do, NULL: the text does, and the first decides the exit status.
 */
void doctor_well(const char *step, const char *format, ...) KUR_PRINTF(2, 3);
void doctor_ill(struct examination *e, int status, const char *step, const char *advice, const char *format, ...)
    KUR_PRINTF(5, 6);
void doctor_doubtful(const char *step, const char *format, ...) KUR_PRINTF(2, 3);

/* Topics, group, and clocks. */
void doctor_read(struct examination *e, kur_client *client);

#endif
