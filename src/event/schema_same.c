/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Whether two schemas say the same bytes with the same meaning. Pairs of nodes wait in a list in place of recursion:
 * schemas that name others can be as deep as they have nodes. A record is looked into once: its name stands for one
 * type wherever it is used, in both.
 */
#include <kurier/sys/error.h>
#include <kurier/sys/memory.h>
#include <string.h>

#include "base/error.h"
#include "base/hash.h"
#include "event/schema.h"

/* Two nodes that are the same themselves; what is in them is looked at when their turn comes. */
struct pair {
    const kur__node *a, *b;
    struct pair *next; /* whose turn comes later */
    UT_hash_handle hh; /* of records: all that there were */
};

struct comparing {
    struct pair *waiting, *done, *records;
    bool is_same, is_out_of_memory;
};

static bool same_text(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool same_symbols(const kur__node *a, const kur__node *b)
{
    bool is_same = true;
    for (size_t i = 0; a->kind == KUR__SCHEMA_ENUM && i < a->count && is_same; i++)
        is_same = strcmp(a->symbols[i], b->symbols[i]) == 0;
    return is_same;
}

static bool same_itself(const kur__node *a, const kur__node *b)
{
    return a->kind == b->kind && a->logical == b->logical && same_text(a->name, b->name) && a->count == b->count &&
           a->length == b->length && a->precision == b->precision && a->scale == b->scale && same_symbols(a, b);
}

static void add(struct comparing *comparing, const kur__node *a, const kur__node *b)
{
    struct pair *pair = NULL;
    comparing->is_same = comparing->is_same && same_itself(a, b);
    if (!comparing->is_same || (a->fields == NULL && a->branches == NULL))
        return;
    if (a->kind == KUR__SCHEMA_RECORD)
        HASH_FIND_PTR(comparing->records, &a, pair);
    if (pair != NULL)
        return;
    pair = kur_calloc(1, sizeof *pair);
    comparing->is_out_of_memory = pair == NULL;
    if (pair == NULL)
        return;
    *pair = (struct pair){.a = a, .b = b, .next = comparing->waiting};
    comparing->waiting = pair;
    if (a->kind != KUR__SCHEMA_RECORD)
        return;
    HASH_ADD_PTR(comparing->records, a, pair);
    comparing->is_out_of_memory = pair->hh.tbl == NULL;
}

static void look_into(struct comparing *comparing, const struct pair *pair)
{
    const kur__node *a = pair->a, *b = pair->b;
    size_t parts = a->kind == KUR__SCHEMA_ARRAY || a->kind == KUR__SCHEMA_MAP ? 1 : a->count;
    for (size_t i = 0; i < parts && comparing->is_same && !comparing->is_out_of_memory; i++)
        if (a->kind == KUR__SCHEMA_RECORD) {
            comparing->is_same = strcmp(a->fields[i].name, b->fields[i].name) == 0;
            add(comparing, a->fields[i].node, b->fields[i].node);
        } else
            add(comparing, a->branches[i], b->branches[i]);
}

static void free_all(struct pair *pair)
{
    while (pair != NULL) {
        struct pair *next = pair->next;
        kur_free(pair);
        pair = next;
    }
}

kur_status kur_schema_same_encoding(const kur_schema *a, const kur_schema *b, kur_error *error)
{
    struct comparing comparing = {.is_same = true};
    if (a == NULL || b == NULL)
        return kur_error_null(error, "the schema");
    add(&comparing, a->root, b->root);
    while (comparing.waiting != NULL && comparing.is_same && !comparing.is_out_of_memory) {
        struct pair *pair = comparing.waiting;
        comparing.waiting = pair->next;
        pair->next = comparing.done;
        comparing.done = pair;
        look_into(&comparing, pair);
    }
    HASH_CLEAR(hh, comparing.records);
    free_all(comparing.waiting);
    free_all(comparing.done);
    if (comparing.is_out_of_memory)
        return kur__error_no_memory(error);
    if (!comparing.is_same)
        return kur_error_set(error, KUR_ERROR_MISMATCH, "%s and %s are not encoded alike", kur_schema_name(a),
                             kur_schema_name(b));
    return KUR_OK;
}
