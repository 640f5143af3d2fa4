/* The one function of libgfortran that OpenBLAS's LAPACK part asks for: it joins two strings, padded with blanks. With
   it the binary needs no libgfortran. Signature: libgfortran/intrinsics/string_intrinsics_inc.c of GCC. */
#include <stddef.h>
#include <string.h>

void _gfortran_concat_string(size_t size, char *to, size_t first_size, const char *first, size_t second_size,
                             const char *second) {
    size_t head = first_size < size ? first_size : size;
    size_t room = size - head;
    size_t tail = second_size < room ? second_size : room;
    memcpy(to, first, head);
    memcpy(to + head, second, tail);
    memset(to + head + tail, ' ', room - tail);
}
