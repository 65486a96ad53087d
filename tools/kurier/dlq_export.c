/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * `kurier dlq export`: letters as lines of JSON. They are written in blocks, and counted by the lines that have been
 * written whole.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "dlq.h"
#include "interrupt.h"
#include "text.h"

enum {
    BLOCK = 64 * 1024
};

struct export
{
    struct dlq *dlq;
    int fd;
    kur_buffer lines;    /* of `held` letters, not written yet */
    int64_t held, count; /* letters; those that are written */
};

/* All that is held; a second signal ends the wait for a reader that does not read. */
static int write_block(struct export *export)
{
    size_t done = 0;
    int failed = 0;
    while (done < export->lines.size && failed == 0) {
        ssize_t size = write(export->fd, export->lines.data + done, export->lines.size - done);
        if (size >= 0)
            done += (size_t)size;
        else if (errno != EINTR || interrupt_count() > 1)
            failed = errno;
    }
    if (failed == 0)
        export->count += export->held;
    for (size_t i = 0; i < done && failed != 0; i++)
        export->count += export->lines.data[i] == '\n';
    export->lines.size = 0;
    export->held = 0;
    if (failed == 0)
        return EXIT_DONE;
    return command_fail(export->dlq->call.noun, "cannot write: %s", strerror(failed));
}

static int write_letters(struct export *export, kur_letter_reader *reader)
{
    int status = EXIT_DONE, written = EXIT_DONE;
    for (const kur_letter *letter; written == EXIT_DONE && (letter = dlq_next(export->dlq, reader, &status)) != NULL;) {
        text_need(kur_letter_export(letter, &export->lines, NULL));
        export->held++;
        if (export->lines.size >= BLOCK)
            written = write_block(export);
    }
    if (written == EXIT_DONE)
        written = write_block(export);
    status = dlq_close(export->dlq, reader, status);
    return status == EXIT_DONE ? written : status;
}

/* Letters hold personal data: only who exports them may read the file. */
static int open_export(const struct dlq *dlq)
{
    if (dlq->file == NULL || strcmp(dlq->file, "-") == 0)
        return STDOUT_FILENO;
    int fd = open(dlq->file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        command_fail(dlq->call.noun, "%.200s: %s", dlq->file, strerror(errno));
    return fd;
}

static int run(struct invocation *call)
{
    struct dlq *dlq = dlq_of(call);
    const char *const *topics;
    int status = dlq_topics(dlq, &topics);
    if (status != EXIT_DONE)
        return status;
    struct export export = {.dlq = dlq, .fd = open_export(dlq)};
    if (export.fd < 0)
        return EXIT_FAILED;
    interrupt_begin();
    kur_letter_reader *reader = topics[0] != NULL ? dlq_read(dlq, topics, &status) : NULL;
    if (reader != NULL)
        status = write_letters(&export, reader);
    if (export.fd != STDOUT_FILENO) {
        bool is_kept = fsync(export.fd) == 0;
        if ((close(export.fd) != 0 || !is_kept) && status == EXIT_DONE)
            status = command_fail(call->noun, "not everything could be written: %s", strerror(errno));
    }
    kur_buffer_done(&export.lines);
    if (status == EXIT_FAILED && export.count > 0)
        status = EXIT_PARTIAL;
    if (status == EXIT_DONE || status == EXIT_PARTIAL)
        command_note(call->noun, "%" PRId64 " letters", export.count);
    return status;
}

static const struct option list[] = {{"--file", "FILE",
                                      "write to a new file that only this user can read; default: standard output",
                                      OPTION_IN(TEXT, struct dlq, file), .words = "FILE"},
                                     {.name = NULL}};
static const struct options options = {.list = list};

const struct verb dlq_export = {
    .name = "export",
    .arguments = "[TOPIC…]",
    .summary = "letters as lines of JSON, nothing masked",
    .about = "Letters as lines of JSON, each a record byte for byte: what is no UTF-8 stands as {\"base64\": …}. "
             "Nothing is masked: the lines hold whatever the records hold. kurier dlq import brings them back.",
    .options = {&options, &dlq_filter_options, &connect_options},
    .needs_client = true,
    .state = &dlq_state.call,
    .run = run};
