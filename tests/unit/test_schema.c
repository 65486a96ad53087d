/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Schemas from their text: names, what is refused and where, canonical forms, fingerprints, references.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "../check_main.h"
#include "event/schema.h"

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

static kur_schema *schema_of_text(const char *text)
{
    kur_error error = {0};
    kur_schema *schema = NULL;
    ck_ok(kur_schema_parse(kur_bytes_text(text), NULL, 0, &schema, &error), error);
    return schema;
}

static void check_form(const char *text, const char *expected)
{
    kur_error error = {0};
    kur_buffer form = {0};
    kur_schema *schema = schema_of_text(text);
    ck_ok(kur_schema_canonical(schema, &form, &error), error);
    ck_assert_str_eq(form.data, expected);
    kur_buffer_done(&form);
    kur_schema_unref(schema);
}

/* What apache/avro's share/test/data/schema-tests.txt says of these forms. */
START_TEST(test_schema__fingerprints)
{
    static const struct {
        const char *text, *form;
        int64_t fingerprint;
    } vectors[] = {
        {"\"null\"", "\"null\"", 7195948357588979594},
        {"{\"type\":\"boolean\"}", "\"boolean\"", -6970731678124411036},
        {"\"int\"", "\"int\"", 8247732601305521295},
        {"{\"type\": \"long\", \"logicalType\": \"timestamp-micros\"}", "\"long\"", -3434872931120570953},
        {" \"float\" ", "\"float\"", 5583340709985441680},
        {"{\"type\":{\"type\":\"double\"}}", "\"double\"", -8181574048448539266},
        {"\"bytes\"", "\"bytes\"", 5746618253357095269},
        {"\"string\"", "\"string\"", -8142146995180207161},
        {"[]", "[]", -1241056759729112623},
        {"[ \"int\" ]", "[\"int\"]", -5232228896498058493},
        {"[\"int\", {\"type\":\"boolean\"}]", "[\"int\",\"boolean\"]", 5392556393470105090},
        {"{\"doc\":\"\",\"aliases\":[\"foo\",\"bar\"],\"name\":\"foo\",\"type\":\"record\",\"fields\":[]}",
         "{\"name\":\"foo\",\"type\":\"record\",\"fields\":[]}", -4824392279771201922},
        {"{\"name\":\"foo\",\"namespace\":\"x.y\",\"type\":\"error\",\"fields\":[]}",
         "{\"name\":\"x.y.foo\",\"type\":\"record\",\"fields\":[]}", 5916914534497305771},
        {"{\"name\":\"a.b.foo\",\"namespace\":\"x.y\",\"type\":\"record\",\"fields\":[]}",
         "{\"name\":\"a.b.foo\",\"type\":\"record\",\"fields\":[]}", -4616218487480524110},
        {"{\"type\":\"record\",\"name\":\"foo\",\"fields\":[{\"type\":{\"type\":\"boolean\"},\"name\":\"f1\"}]}",
         "{\"name\":\"foo\",\"type\":\"record\",\"fields\":[{\"name\":\"f1\",\"type\":\"boolean\"}]}",
         7843277075252814651},
        {"{\"type\":\"record\",\"name\":\"foo\",\"fields\":[{\"type\":\"boolean\",\"name\":\"f1\",\"default\":\"true\"}"
         ","
         "{\"doc\":\"d\",\"name\":\"f2\",\"order\":\"ignore\",\"type\":\"int\"}]}",
         "{\"name\":\"foo\",\"type\":\"record\",\"fields\":[{\"name\":\"f1\",\"type\":\"boolean\"},"
         "{\"name\":\"f2\",\"type\":\"int\"}]}",
         -4860222112080293046},
        {"{\"symbols\":[\"A1\"],\"default\":\"A1\",\"name\":\"foo\",\"type\":\"enum\"}",
         "{\"name\":\"foo\",\"type\":\"enum\",\"symbols\":[\"A1\"]}", -6342190197741309591},
        {"{\"symbols\":[\"A1\",\"A2\"],\"name\":\"foo\",\"namespace\":\"x.y.z\",\"type\":\"enum\"}",
         "{\"name\":\"x.y.z.foo\",\"type\":\"enum\",\"symbols\":[\"A1\",\"A2\"]}", -4448647247586288245},
        {"{\"size\":15,\"type\":\"fixed\",\"name\":\"foo\"}", "{\"name\":\"foo\",\"type\":\"fixed\",\"size\":15}",
         1756455273707447556},
        {"{\"size\":32,\"type\":\"fixed\",\"name\":\"x.y.z.foo\"}",
         "{\"name\":\"x.y.z.foo\",\"type\":\"fixed\",\"size\":32}", -3064184465700546786},
        {"{\"items\":{\"type\":\"null\"},\"type\":\"array\"}", "{\"type\":\"array\",\"items\":\"null\"}",
         -589620603366471059},
        {"{\"values\":\"string\",\"type\":\"map\"}", "{\"type\":\"map\",\"values\":\"string\"}", -8732877298790414990},
        {"{\"type\":\"record\",\"name\":\"PigValue\",\"fields\":[{\"name\":\"value\",\"type\":[\"null\",\"int\","
         "\"long\","
         "\"PigValue\"]}]}",
         "{\"name\":\"PigValue\",\"type\":\"record\",\"fields\":[{\"name\":\"value\",\"type\":[\"null\",\"int\","
         "\"long\","
         "\"PigValue\"]}]}",
         -1759257747318642341}};
    for (size_t i = 0; i < COUNT_OF(vectors); i++) {
        kur_schema *schema = schema_of_text(vectors[i].text);
        check_form(vectors[i].text, vectors[i].form);
        ck_assert_msg(kur_schema_fingerprint(schema) == (uint64_t)vectors[i].fingerprint, "%s has %" PRId64,
                      vectors[i].text, (int64_t)kur_schema_fingerprint(schema));
        kur_schema_unref(schema);
        check_form(vectors[i].form, vectors[i].form);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_schema__fingerprints, NULL};
    return check_main("schema", tests);
}
