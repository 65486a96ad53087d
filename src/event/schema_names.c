/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Names in schemas: what Avro allows ("Names"), full names, and which have been used. One table for all: a name counts
 * within its scope, which is a record for fields, an enum for symbols, a union for branches, and NULL for types.
 */
#include "base/error.h"
#include "base/hash.h"
#include "event/schema_parse.h"

enum {
    BUCKETS = 1024
};

struct kur__schema_name {
    kur__schema_name *next;
    const void *scope;
    const char *name;
    const void *meaning;
};

static bool is_part(const char *text, size_t size, char also)
{
    if (size == 0 || size >= KUR__SCHEMA_NAME_MAX)
        return false;
    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == also;
        if (!is_letter && (i == 0 || c < '0' || c > '9'))
            return false;
    }
    return true;
}

bool kur__avro_is_name(const char *text, size_t size)
{
    return is_part(text, size, '_');
}

bool kur__avro_is_space(const char *text, size_t size)
{
    if (size >= KUR__SCHEMA_NAME_MAX)
        return false;
    for (;;) {
        const char *dot = memchr(text, '.', size);
        size_t part = dot != NULL ? (size_t)(dot - text) : size;
        if (!is_part(text, part, '$'))
            return false;
        if (dot == NULL)
            return true;
        text += part + 1;
        size -= part + 1;
    }
}

bool kur__avro_is_full_name(const char *text, size_t size)
{
    const char *dot = memrchr(text, '.', size);
    size_t space = dot != NULL ? (size_t)(dot - text) : 0, before = dot != NULL ? space + 1 : 0;
    return size < KUR__SCHEMA_NAME_MAX && (dot == NULL || kur__avro_is_space(text, space)) &&
           kur__avro_is_name(text + before, size - before);
}

bool kur__next_word(const char **rest, const char **word, size_t *size)
{
    if (*rest == NULL)
        return false;
    *word = *rest + strspn(*rest, " ");
    *size = strcspn(*word, " ");
    *rest = *word + *size;
    return *size > 0;
}

kur_status kur__schema_full_name(kur__schema_parser *p, const char *space, const char *name, const kur__path *path,
                                 char full[KUR__SCHEMA_NAME_MAX])
{
    bool is_full = strchr(name, '.') != NULL || space[0] == '\0';
    size_t space_size = is_full ? 0 : strlen(space), size = strlen(name);
    if (space_size + !is_full + size >= KUR__SCHEMA_NAME_MAX || !kur__avro_is_full_name(name, size))
        return kur__error_at(p->error, KUR_ERROR_SYNTAX, path, "is not a name that Avro allows");
    if (!is_full) {
        memcpy(full, space, space_size);
        full[space_size++] = '.';
    }
    memcpy(full + space_size, name, size + 1);
    return KUR_OK;
}

kur_status kur__schema_space(kur__schema_parser *p, const char *full, const char **space)
{
    const char *dot = strrchr(full, '.');
    size_t size = dot != NULL ? (size_t)(dot - full) : 0;
    if (strlen(*space) == size && memcmp(*space, full, size) == 0)
        return KUR_OK;
    *space = kur_arena_copy(p->scratch, full, size);
    return *space != NULL ? KUR_OK : kur__error_no_memory(p->error);
}

static kur__schema_name **bucket_of(const kur__schema_parser *p, const void *scope, const char *name)
{
    uint32_t hash = kur__hash(name, strlen(name)) ^ kur__hash(&scope, sizeof scope);
    return &p->buckets[hash % BUCKETS];
}

const void *kur__schema_find(const kur__schema_parser *p, const void *scope, const char *name)
{
    for (const kur__schema_name *entry = *bucket_of(p, scope, name); entry != NULL; entry = entry->next)
        if (entry->scope == scope && strcmp(entry->name, name) == 0)
            return entry->meaning;
    return NULL;
}

kur_status kur__schema_note(kur__schema_parser *p, const void *scope, const char *name, const void *meaning,
                            const kur__path *path)
{
    if (kur__schema_find(p, scope, name) != NULL)
        return kur__error_at(p->error, KUR_ERROR_SYNTAX, path, "\"%.100s\" is there twice", name);
    kur__schema_name *entry = kur_arena_alloc(p->scratch, sizeof *entry);
    if (entry == NULL)
        return kur__error_no_memory(p->error);
    kur__schema_name **bucket = bucket_of(p, scope, name);
    *entry = (kur__schema_name){.next = *bucket, .scope = scope, .name = name, .meaning = meaning};
    *bucket = entry;
    return KUR_OK;
}

kur_status kur__schema_names_new(kur__schema_parser *p)
{
    p->scratch = kur_arena_new();
    p->buckets = kur_arena_alloc(p->scratch, BUCKETS * sizeof(kur__schema_name *));
    return p->buckets != NULL ? KUR_OK : kur__error_no_memory(p->error);
}
