/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include "input.h"

#include <errno.h>
#include <stdio.h>

#include "text.h"

int input_read(const struct invocation *call, const char *path, size_t most, kur_buffer *text)
{
    char bytes[16384];
    size_t size;
    bool is_standard = strcmp(path, "-") == 0;
    FILE *from = is_standard ? stdin : fopen(path, "re");
    const char *name = is_standard ? "standard input" : path;
    int status = EXIT_DONE;
    text_put(text, "");
    if (from == NULL)
        return command_fail(call->noun, "%.200s: %s", name, strerror(errno));
    while (status == EXIT_DONE && (size = fread(bytes, 1, sizeof bytes, from)) > 0) {
        if (text->size + size > most)
            status = command_fail(call->noun, "%.200s: larger than %zu bytes", name, most);
        else
            text_need(kur_buffer_append(text, bytes, size));
    }
    if (status == EXIT_DONE && ferror(from) != 0)
        status = command_fail(call->noun, "%.200s: %s", name, strerror(errno));
    if (!is_standard)
        fclose(from);
    return status;
}

/* What stands in the brackets of an array. */
static kur_bytes peel(kur_bytes text)
{
    const char *at = text.data, *end = at + text.size;
    while (at < end && strchr(" \t\r\n", *at) != NULL)
        at++;
    while (end > at && strchr(" \t\r\n", end[-1]) != NULL)
        end--;
    if (end - at >= 2 && *at == '[' && end[-1] == ']') {
        at++;
        end--;
    }
    return kur_bytes_of(at, (size_t)(end - at));
}

int input_read_object(const struct invocation *call, const char *path, const kur_type *type, void *object)
{
    kur_error error = {0};
    kur_buffer text = {0};
    int status = input_read(call, path, KUR_JSON_SIZE_MAX, &text);
    if (status == EXIT_DONE &&
        kur_json_read(type, peel(kur_bytes_of(text.data, text.size)), call->arena, object, &error) != KUR_OK)
        status = command_refuse(call->noun, "%.200s: %s", path, error.message);
    kur_buffer_done(&text);
    return status;
}
