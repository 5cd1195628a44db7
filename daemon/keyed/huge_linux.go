package keyed

import (
	"syscall"
	"unsafe"
)

const hugePage = 2 << 20

// wantHuge asks the kernel for pages of 2 MB under the table, as far as it
// spans any: a key at random then costs no walk through the page tables. Where
// the kernel has none to give the table is as good, only slower.
func wantHuge(table []bucket) {
	from := uintptr(unsafe.Pointer(unsafe.SliceData(table)))
	skip := (hugePage - from%hugePage) % hugePage
	size := uintptr(len(table)) * bucketSize
	if size < skip+hugePage {
		return
	}
	all := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(table))), size)
	_ = syscall.Madvise(all[skip:skip+(size-skip)/hugePage*hugePage], syscall.MADV_HUGEPAGE)
}
