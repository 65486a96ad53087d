/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Texts that appear in no message, whoever wrote it: passwords, keys, tokens.
 */
#ifndef KURIER_BASE_SECRETS_H
#define KURIER_BASE_SECRETS_H

#include <pthread.h>

#include <kurier/error.h>

enum {
    KUR__SECRETS_MAX = 24
};

typedef struct kur__secrets {
    pthread_mutex_t lock; /* guards what stands below */
    char *texts[KUR__SECRETS_MAX];
    size_t kept; /* so many at the beginning stay */
    size_t next; /* of the others, the oldest, which the next takes the place of */
} kur__secrets;

void kur__secrets_init(kur__secrets *secrets);
void kur__secrets_done(kur__secrets *secrets);

/*
 * One more, copied; one that is to stay comes before all others. A text of less than four characters is not hidden, for
 * it is in every other.
 */
kur_status kur__secrets_add(kur__secrets *secrets, const char *text, bool stays, kur_error *error);

/* Puts asterisks over each in `text`, also over one that is cut off at its end. NULL secrets hide nothing. */
void kur__secrets_hide(kur__secrets *secrets, char *text);

#endif
