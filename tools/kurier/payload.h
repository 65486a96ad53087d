/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * What a record holds, for people and for programs; masked until --unmask, and nothing in it moves a cursor.
 */
#ifndef KURIER_TOOLS_PAYLOAD_H
#define KURIER_TOOLS_PAYLOAD_H

#include "command.h"

/* Where a record stands: TOPIC/PARTITION/OFFSET, as `show` takes it. */
void payload_place(kur_buffer *to, const char *topic, int32_t partition, int64_t offset);
/* The place that the arguments name, as one or as three. EXIT_DONE, or it was said what is wrong. */
int payload_read_place(const struct invocation *call, const char **topic, int32_t *partition, int64_t *offset);

/* As text. */
void payload_put(const struct invocation *call, kur_buffer *to, kur_bytes payload);
/* As one line; `is_secret`: by the name that it goes by. */
void payload_line(const struct invocation *call, kur_buffer *to, kur_bytes payload, bool is_secret);
/* The same, of at most so many bytes. */
void payload_cut(const struct invocation *call, kur_buffer *to, kur_bytes payload, size_t most);

/* Members of JSON: text masked; what is no text shows its size alone, unless it is unmasked. */
void payload_json(const struct invocation *call, kur_buffer *json, const char *name, kur_bytes payload);
void payload_headers_json(const struct invocation *call, kur_buffer *json, const kur_record *record);
void payload_header_list_json(const struct invocation *call, kur_buffer *json, const kur_header *headers, size_t count);

/* Lines of `show`: a name and what stands behind it; nothing for NULL, "" and times that are not known. */
void payload_print(const char *name, const char *text);
void payload_print_time(const char *name, int64_t time_us);
void payload_print_line(const struct invocation *call, const char *name, kur_bytes payload);
void payload_print_event(const kur_event_view *event); /* may be NULL */
void payload_print_headers(const struct invocation *call, const kur_record *record);
void payload_print_header_list(const struct invocation *call, const kur_header *headers, size_t count);
void payload_print_value(const struct invocation *call, kur_bytes value);

#endif
