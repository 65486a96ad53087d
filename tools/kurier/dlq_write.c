/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * What import and discard share: a writer that Ctrl-C can end, and the figures of what became of it.
 */
#include <inttypes.h>
#include <stdio.h>

#include "dlq.h"
#include "interrupt.h"

/* The first signal ends what waits for room; the second one the wait for answers, too. */
static bool tell(const kur_letter_counts *counts, void *user)
{
    struct dlq *dlq = user;
    if (!dlq->is_finishing)
        return interrupt_count() == 0;
    progress_tell(&dlq->progress, counts->written, counts->given);
    return interrupt_count() <= 1;
}

kur_letter_writer *dlq_writer(struct dlq *dlq)
{
    kur_error error = {0};
    kur_letter_writer *writer = kur_letter_writer_new(
        dlq->call.client,
        &KUR_LETTER_WRITER_OPTIONS(.timeout_ms = dlq->call.connection.timeout_ms, .on_progress = tell, .user = dlq),
        &error);
    if (writer == NULL)
        command_error(dlq->call.noun, &error);
    return writer;
}

int dlq_finish(struct dlq *dlq, kur_letter_writer *writer, int status, const char *done, const char *by)
{
    kur_error error = {0};
    kur_letter_counts counts = KUR_LETTER_COUNTS();
    dlq->is_finishing = true;
    progress_end(&dlq->progress);
    progress_begin(&dlq->progress, "letters written");
    kur_status finished = kur_letter_writer_finish(writer, dlq->call.connection.timeout_ms, &counts, &error);
    kur_letter_writer_free(writer);
    progress_end(&dlq->progress);
    if (finished != KUR_OK)
        command_error(dlq->call.noun, &error);
    if (counts.failed + counts.unknown > 0)
        command_note(dlq->call.noun, "%" PRId64 " letters %s %s, %" PRId64 " failed, of %" PRId64 " it is not known",
                     counts.written, done, by, counts.failed, counts.unknown);
    else
        command_note(dlq->call.noun, "%" PRId64 " letters %s %s", counts.written, done, by);
    if (counts.unknown > 0)
        return EXIT_UNKNOWN;
    if (status == EXIT_DONE && finished == KUR_OK)
        return EXIT_DONE;
    return counts.written > 0 ? EXIT_PARTIAL : status == EXIT_REFUSED ? EXIT_REFUSED : EXIT_FAILED;
}
