/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Plans as others hold them.
 */
#include "event/avro_plan.h"

#include <kurier/sys/memory.h>

#include "base/error.h"

kur_status kur__avro_plan_of(const kur__node *writer, const kur__node *reader, const kur_type *type,
                             kur_avro_plan **plan, kur_error *error)
{
    kur_avro_plan *made = kur_calloc(1, sizeof *made);
    if (made == NULL)
        return kur__error_no_memory(error);
    atomic_init(&made->references, 1);
    made->arena = kur_arena_new();
    made->type = type;
    made->root.type = type;
    kur_status status = kur__avro_resolve(writer, reader, made->arena, &made->root, error);
    if (status == KUR_OK)
        *plan = made;
    else
        kur_avro_plan_unref(made);
    return status;
}

/* ---- The public face ---- */

kur_status kur_avro_plan_new(kur_schema *writer, const kur_type *type, kur_avro_plan **plan, kur_error *error)
{
    if (plan == NULL)
        return kur_error_null(error, "plan");
    kur_schema *reader = NULL;
    kur_status status = kur_schema_of(type, &reader, error);
    if (status != KUR_OK)
        return status;
    writer = writer != NULL ? writer : reader;
    kur_avro_plan *made = NULL;
    status = kur__avro_plan_of(writer->root, reader->root, type, &made, error);
    if (status == KUR_OK) {
        made->writer = kur_schema_ref(writer);
        made->reader = kur_schema_ref(reader);
        *plan = made;
    }
    kur_schema_unref(reader);
    return status;
}

kur_avro_plan *kur_avro_plan_ref(kur_avro_plan *plan)
{
    if (plan != NULL)
        atomic_fetch_add(&plan->references, 1);
    return plan;
}

void kur_avro_plan_unref(kur_avro_plan *plan)
{
    if (plan == NULL || atomic_fetch_sub(&plan->references, 1) > 1)
        return;
    kur_schema_unref(plan->writer);
    kur_schema_unref(plan->reader);
    kur_arena_free(plan->arena);
    kur_free(plan);
}

kur_status kur_schema_reads(const kur_schema *reader, const kur_schema *writer, kur_error *error)
{
    if (reader == NULL || writer == NULL)
        return kur_error_null(error, reader == NULL ? "reader" : "writer");
    kur__avro_step root = {.op = KUR__AVRO_NOTHING};
    kur_arena *arena = kur_arena_new();
    kur_status status = kur__avro_resolve(writer->root, reader->root, arena, &root, error);
    kur_arena_free(arena);
    return status;
}
