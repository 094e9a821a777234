"""`make bench`: run the benchmarks one after another, in about eight minutes."""

from benchmarks import end_to_end, handle, neighbours, receive, reconcile

receive.main()
end_to_end.main()
handle.main()
reconcile.main(200, 2_000)
neighbours.main()
