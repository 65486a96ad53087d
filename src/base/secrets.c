/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include "base/secrets.h"

#include <kurier/sys/memory.h>
#include <string.h>

#include "base/error.h"

enum {
    SIZE_MIN = 4
};

void kur__secrets_init(kur__secrets *secrets)
{
    memset(secrets, 0, sizeof *secrets);
    pthread_mutex_init(&secrets->lock, NULL);
}

static void forget(char *text)
{
    if (text != NULL)
        explicit_bzero(text, strlen(text));
    kur_free(text);
}

void kur__secrets_done(kur__secrets *secrets)
{
    for (size_t i = 0; i < KUR__SECRETS_MAX; i++)
        forget(secrets->texts[i]);
    pthread_mutex_destroy(&secrets->lock);
}

kur_status kur__secrets_add(kur__secrets *secrets, const char *text, bool stays, kur_error *error)
{
    if (strlen(text) < SIZE_MIN)
        return KUR_OK;
    char *copy = kur_strdup(text);
    if (copy == NULL)
        return kur__error_no_memory(error);
    pthread_mutex_lock(&secrets->lock);
    for (size_t i = 0; i < KUR__SECRETS_MAX && copy != NULL; i++)
        if (secrets->texts[i] != NULL && strcmp(secrets->texts[i], copy) == 0) {
            forget(copy);
            copy = NULL;
        }
    if (copy != NULL) {
        forget(secrets->texts[secrets->next]);
        secrets->texts[secrets->next] = copy;
        secrets->next++;
        /* At least a few places are left for those that come and go. */
        if (stays && secrets->next < KUR__SECRETS_MAX - 4)
            secrets->kept = secrets->next;
        if (secrets->next == KUR__SECRETS_MAX)
            secrets->next = secrets->kept;
    }
    pthread_mutex_unlock(&secrets->lock);
    return KUR_OK;
}

static void hide_one(const char *secret, char *text)
{
    size_t size = strlen(secret);
    for (char *at = text; (at = strstr(at, secret)) != NULL; at += size)
        memset(at, '*', size);
    /* The beginning of one at the end of a text that was cut. */
    size_t length = strlen(text);
    for (size_t part = length < size ? length : size - 1; part >= SIZE_MIN; part--)
        if (memcmp(text + length - part, secret, part) == 0) {
            memset(text + length - part, '*', part);
            return;
        }
}

void kur__secrets_hide(kur__secrets *secrets, char *text)
{
    if (secrets == NULL)
        return;
    pthread_mutex_lock(&secrets->lock);
    for (size_t i = 0; i < KUR__SECRETS_MAX; i++)
        if (secrets->texts[i] != NULL)
            hide_one(secrets->texts[i], text);
    pthread_mutex_unlock(&secrets->lock);
}
