"""`make bench`: every benchmark, one after another, in about three minutes."""

from benchmarks import end_to_end, handle, receive

receive.main()
end_to_end.main()
handle.main()
