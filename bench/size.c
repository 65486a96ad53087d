/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "bench.h"

void bench_size(const bench_options *options)
{
    static bench_case one;
    struct stat status;
    if (options->library == NULL)
        bench_fail("size: --library names the file to measure");
    if (stat(options->library, &status) != 0)
        bench_fail("%s: %s", options->library, strerror(errno));
    one = (bench_case){.bench = "size",
                       .name = "libkurier.so",
                       .unit = "kB",
                       .bound = BENCH_VALUE_AT_MOST,
                       .target = 400,
                       .runs = 1,
                       .values = {(double)status.st_size / 1000}};
    bench_report(options, &one);
}
