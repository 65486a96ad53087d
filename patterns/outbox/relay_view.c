/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * A parked row as it is shown. A row whose headers cannot be read may be parked for just that, and is shown without.
 */
#include "outbox/relay.h"

kur_status kur__parked_view(const kur_outbox_parked_row *row, kur_arena *arena, kur_parked_view *view, kur_error *error)
{
    const kur_header *headers = NULL;
    size_t count = 0;
    kur_error why = {0};
    kur_status status = kur__headers_read(row->row.headers, arena, &headers, &count, &why);
    if (status == KUR_ERROR_NO_MEMORY)
        return kur_error_set(error, status, "%s", why.message);
    *view = (kur_parked_view){.size = sizeof *view,
                              .id = row->row.id,
                              .shard = row->row.shard,
                              .is_behind = row->is_behind,
                              .attempts = row->attempts,
                              .error = row->error,
                              .topic = row->row.topic,
                              .key = row->row.key,
                              .value = row->row.value,
                              .headers = status == KUR_OK ? headers : NULL,
                              .header_count = status == KUR_OK ? count : 0,
                              .created_us = row->row.created_us,
                              .parked_us = row->parked_us};
    return KUR_OK;
}
