/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * The audit's topic, made by the first who writes to it, and what people say there.
 */
#include <string.h>

#include "deadletter/deadletter.h"

enum {
    TEXT_MAX = 1000
};

kur_status kur__audit_check(const char *text, const char *name, kur_error *error)
{
    if (text == NULL || text[0] == '\0' || strlen(text) > TEXT_MAX || !kur_bytes_is_utf8(kur_bytes_text(text)))
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "%s is not 1 to %d bytes of UTF-8", name, TEXT_MAX);
    return KUR_OK;
}

kur_status kur__audit_is_there(kur_admin *admin, int timeout_ms, bool *is_there, kur_error *error)
{
    kur_arena *arena = kur_arena_new();
    kur_topic_list list = {0};
    kur_status status = arena != NULL ? kur_admin_list_topics(admin, timeout_ms, arena, &list, error)
                                      : kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory: a topic");
    *is_there = false;
    for (size_t i = 0; i < list.count; i++)
        *is_there = *is_there || strcmp(list.items[i]->name, KUR_LETTER_AUDIT_TOPIC) == 0;
    kur_arena_free(arena);
    return status;
}

kur_status kur__audit_ensure(kur_admin *admin, int timeout_ms, kur_error *error)
{
    const kur_topic_spec spec = {
        .size = sizeof spec, .name = KUR_LETTER_AUDIT_TOPIC, .partitions = 1, .cleanup = KUR_CLEANUP_COMPACT};
    bool is_there;
    kur_status status = kur_admin_ensure_topics(admin, &spec, 1, timeout_ms, NULL, NULL, error);
    if (status != KUR_ERROR_AUTHORIZATION)
        return status;
    /* Who may write to it need not be one who sees its settings. */
    status = kur__audit_is_there(admin, timeout_ms, &is_there, error);
    if (status != KUR_OK || is_there)
        return status;
    return kur_error_set(error, KUR_ERROR_AUTHORIZATION,
                         "topic %s: not there, or hidden from this user, who lacks CREATE on it, or READ",
                         KUR_LETTER_AUDIT_TOPIC);
}
