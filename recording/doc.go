// Package recording keeps the sound of calls: two channels in one WAV file for each
// recording, with a sidecar that says whose it is.
//
// A [Recording] is a leg's tap (media.Leg.Tap): its Voice copies a packet into a ring of
// fixed size and returns. A few goroutines, the same for all recordings, take the packets
// from there, put them where they belong in time, and write. A disk that is slow, full or gone
// ends recordings, each with a reason; it never holds up the sound of a call.
//
// Left is what the phone said, right what it heard. A packet is placed by when it came where
// its stream begins, and by its RTP timestamp from then on; where nothing came there is silence.
//
// In the directory each day has one of its own, with three names for a recording:
//
//	2026-11-22/CALL-1.wav.part   while it is being written
//	2026-11-22/CALL-1.wav        when it is whole; CALL-1.wav.enc when it is encrypted
//	2026-11-22/CALL-1.json       whose it is ([Info]), from its first second on
//
// What a killed process has left as .part is put right by [Repair]. Sound is fsynced when a
// recording ends, and every [Options].SyncEvery before that if set; what had been handed
// to the kernel survives the end of the process anyway.
package recording
