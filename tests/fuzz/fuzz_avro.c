/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Avro's bytes from outside, by plans of our own types and of other writers' schemas: the first byte says by which.
 */
#include "avro.h"
#include "unit/avro_types.h"

KUR_ENUM_DEFINE(tone, TONE, .unknown = "other");
KUR_RECORD_DEFINE(part, PART);
KUR_RECORD_DEFINE(every, EVERY);
KUR_RECORD_DEFINE(branch, BRANCH);

/* Promotions, other units, unions, fields that have gone and that are not there; and what holds itself, gone over. */
#define PARTS "\"items\":{\"type\":\"record\",\"name\":\"part\",\"fields\":[{\"name\":\"sku\",\"type\":\"bytes\"}]}"
static const char other_branch[] = "{\"type\":\"record\",\"name\":\"branch\",\"fields\":[{\"name\":\"children\","
                                   "\"type\":[\"null\",{\"type\":\"array\",\"items\":"
                                   "\"branch\"}]},{\"name\":\"gone\",\"type\":[\"null\",\"branch\",{\"type\":\"map\","
                                   "\"values\":\"branch\"},{\"type\":\"array\",\"items\":"
                                   "{\"type\":\"record\",\"name\":\"nothing\",\"fields\":[{\"name\":\"n\",\"type\":"
                                   "\"null\"}]}}]},{\"name\":\"value\",\"type\":[\"int\","
                                   "\"string\"]},{\"name\":\"parts\",\"type\":{\"type\":\"array\"," PARTS "}}]}";
static const char other_part[] = "{\"type\":\"record\",\"name\":\"part\",\"fields\":[{\"name\":\"price\",\"type\":{"
                                 "\"type\":\"fixed\",\"name\":\"d\",\"size\":9,"
                                 "\"logicalType\":\"decimal\",\"precision\":18,\"scale\":2}},{\"name\":\"sku\","
                                 "\"type\":[\"null\",\"bytes\"]},{\"name\":\"e\",\"type\":"
                                 "{\"type\":\"enum\",\"name\":\"e\",\"symbols\":[\"A\"]}}]}";

static const struct {
    const kur_type *type;
    const char *writer;
} cases[] = {{&every_type, NULL},
             {&branch_type, NULL},
             {&part_type, NULL},
             {&branch_type, other_branch},
             {&part_type, other_part}};
enum {
    CASES = sizeof cases / sizeof *cases
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static kur_avro_plan *plans[CASES], *own[CASES];
    static kur_schema *writers[CASES];
    kur_error error = {0};
    if (size == 0)
        return 0;
    size_t chosen = data[0] % CASES;
    const kur_type *type = cases[chosen].type;
    if (plans[chosen] == NULL) {
        const char *text = cases[chosen].writer;
        kur_schema **writer = &writers[chosen];
        need((text != NULL ? kur_schema_parse(kur_bytes_text(text), NULL, 0, writer, &error)
                           : kur_schema_of(type, writer, &error)) == KUR_OK);
        need(kur_avro_plan_new(*writer, type, &plans[chosen], &error) == KUR_OK);
        need(kur_avro_plan_new(NULL, type, &own[chosen], &error) == KUR_OK);
    }
    kur_arena *arena = kur_arena_new();
    kur_bytes input = kur_bytes_of(data + 1, size - 1);
    avro_by_plan(plans[chosen], own[chosen], type, input, arena);
    avro_by_schema(writers[chosen], input);
    kur_arena_free(arena);
    return 0;
}
