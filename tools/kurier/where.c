/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include "where.h"

#include "text.h"

int where_read(struct invocation *call, const char *value, const kur_filter **where)
{
    kur_error error = {0};
    kur_buffer lines = {0}, shown = {0};
    if (*where != NULL)
        return command_refuse(call->noun, "--where stands twice; \"and\" or \"or\" joins the two");
    *where = kur_filter_new(value, &error);
    if (*where != NULL)
        return EXIT_DONE;
    text_need(error.code != KUR_ERROR_NO_MEMORY ? KUR_OK : error.code);
    text_need(kur_filter_explain(value, &lines, NULL) != KUR_ERROR_NO_MEMORY ? KUR_OK : KUR_ERROR_NO_MEMORY);
    text_put(&shown, "");
    for (char *line = lines.data, *end; line != NULL && (end = strchr(line, '\n')) != NULL; line = end + 1)
        text_need(kur_buffer_print(&shown, "\n  %.*s", (int)(end - line), line));
    int status = command_refuse(call->noun, "--where: %s%s", error.message, shown.data);
    kur_buffer_done(&lines);
    kur_buffer_done(&shown);
    return status;
}
