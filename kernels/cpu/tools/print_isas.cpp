// Prints the instruction sets that this machine runs, best first, comma-separated: the Makefile asks which to build.
#include <stdio.h>

#include "../../ops.h"

int main() { puts(msm_cpu_isas()); }
