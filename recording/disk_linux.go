package recording

import "golang.org/x/sys/unix"

// diskFree is how many bytes may still be written in a directory's file system.
func diskFree(dir string) (int64, bool) {
	var st unix.Statfs_t
	if unix.Statfs(dir, &st) != nil {
		return 0, false
	}
	return int64(st.Bavail) * st.Bsize, true
}
